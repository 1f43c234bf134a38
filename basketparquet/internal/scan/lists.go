package scan

import (
	"bytes"
	"fmt"
)

// maxItems bounds one list: a few damaged bytes can claim billions of items.
const maxItems = 1 << 20

// Lists reads a column of lists of integers, row by row. It is not safe for
// concurrent use.
type Lists struct {
	Column[int64]
	null    int64 // stands for a null element
	listDef uint8 // definition level from which the list is not null
	elemDef uint8 // and from which it has elements

	// The batch at hand; item i belongs to level i.
	at, n   int
	items   [batch]int64
	whole   bool // every level of the batch has an item that is not null
	long    []int64
	rows    int64 // begun in this row group
	counted int   // row groups whose rows have been counted
}

// Next returns the next row's list, valid until the next call, and whether it
// is null. It is not ok at the end.
func (l *Lists) Next() (items []int64, null, ok bool, err error) {
	if l.at == l.n {
		more, err := l.fill()
		if err != nil || !more {
			return nil, false, false, err
		}
	}
	if l.rep[l.at] != 0 {
		return nil, false, false, l.fault("a list goes on that has not begun")
	}
	l.rows++
	if d := l.def[l.at]; d < l.elemDef {
		l.at++
		return nil, d < l.listDef, true, nil
	}
	start := l.at
	l.long = l.long[:0]
	for {
		end := l.n
		if i := bytes.IndexByte(l.rep[l.at+1:l.n], 0); i >= 0 {
			end = l.at + 1 + i
		}
		if !l.whole {
			for _, d := range l.def[l.at:end] {
				if d < l.elemDef {
					return nil, false, false, l.fault("an empty list has items")
				}
			}
		}
		l.at = end
		if end < l.n {
			if len(l.long) == 0 {
				return l.items[start:end], false, true, nil
			}
			l.long = append(l.long, l.items[start:end]...)
			return l.long, false, true, nil
		}
		// The row may go on in the next batch, which takes the items' place.
		l.long = append(l.long, l.items[start:end]...)
		if len(l.long) > maxItems {
			return nil, false, false, l.fault(fmt.Sprintf("a list of over %d items", maxItems))
		}
		group := l.group
		more, err := l.fill()
		if err != nil {
			return nil, false, false, err
		}
		if !more || l.group != group || l.rep[0] == 0 {
			return l.long, false, true, nil
		}
		start = 0
	}
}

func (l *Lists) fault(what string) (err error) {
	err = fmt.Errorf("%s", what)
	l.explain(&err)
	return err
}

// fill reads the next batch; false at the end of the column.
func (l *Lists) fill() (ok bool, err error) {
	defer l.explain(&err)
	l.at, l.n = 0, 0
	for l.left == 0 {
		if l.pages.left == 0 && l.group > 0 && l.counted < l.group {
			l.counted = l.group
			if want := l.f.meta.groups[l.group-1].rows; l.rows != want {
				return false, fmt.Errorf("row group %d has %d lists; want %d rows; the file is damaged", l.group-1, l.rows, want)
			}
			l.rows = 0
		}
		if ok, err := l.load(); err != nil || !ok {
			return false, err
		}
	}
	l.n = min(batch, l.left)
	present, err := l.levels(l.n)
	if err != nil {
		return false, err
	}
	if l.whole = present == l.n; l.whole {
		return true, l.values(l.items[:l.n])
	}
	if err := l.values(l.dense[:present]); err != nil {
		return false, err
	}
	j := 0
	for i, d := range l.def[:l.n] {
		l.items[i] = l.null
		if d == l.maxDef {
			l.items[i] = l.dense[j]
			j++
		}
	}
	return true, nil
}
