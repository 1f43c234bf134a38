package scan

import (
	"bytes"
	"errors"
	"fmt"
)

// maxItems bounds one list, because a few damaged bytes can claim billions of
// items.
const maxItems = 1 << 20

// Lists reads a column of lists of integers, row by row. It is not safe for
// concurrent use.
type Lists struct {
	Column[int64]
	null    int64 // stands for a null element
	listDef uint8 // definition level from which a list is not null
	elemDef uint8 // and from which it has elements

	// The current batch; item i belongs to level i.
	pos, n int
	items  [batch]int64
	full   bool // every level of the batch has an item that is not null

	long     []int64 // a list that does not lie within one batch
	counted  int     // row groups whose rows have been counted
	groupRow int64   // first row of the current one
}

// Next returns the list of the next row, valid until the next call, and whether
// it is null. At the end of the column, ok is false.
func (l *Lists) Next() (items []int64, null, ok bool, err error) {
	if l.pos == l.n {
		more, err := l.fill()
		if err != nil || !more {
			return nil, false, false, err
		}
	}
	if l.rep[l.pos] != 0 {
		return nil, false, false, l.failed("an item before the first list")
	}
	l.row++
	if d := l.def[l.pos]; d < l.elemDef {
		l.pos++
		return nil, d < l.listDef, true, nil
	}
	start := l.pos
	l.long = l.long[:0]
	for {
		end := l.n
		if i := bytes.IndexByte(l.rep[l.pos+1:l.n], 0); i >= 0 {
			end = l.pos + 1 + i
		}
		if !l.full {
			for _, d := range l.def[l.pos:end] {
				if d < l.elemDef {
					return nil, false, false, l.failed("an empty list has items")
				}
			}
		}
		l.pos = end
		if end < l.n {
			if len(l.long) == 0 {
				return l.items[start:end], false, true, nil
			}
			l.long = append(l.long, l.items[start:end]...)
			return l.long, false, true, nil
		}
		// The list may continue in the next batch, which overwrites items.
		l.long = append(l.long, l.items[start:end]...)
		if len(l.long) > maxItems {
			return nil, false, false, l.failed(fmt.Sprintf("a list of over %d items", maxItems))
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

func (l *Lists) failed(text string) error {
	err := errors.New(text)
	l.addPlace(&err)
	return err
}

// fill reads the next batch, and reports false at the end of the column.
func (l *Lists) fill() (ok bool, err error) {
	defer l.addPlace(&err)
	l.pos, l.n = 0, 0
	for l.inPage == 0 {
		if l.inChunk == 0 && l.counted < l.group {
			l.counted = l.group
			if want := l.f.groups[l.group-1].rows; l.row-l.groupRow != want {
				return false, fmt.Errorf("%d lists: want %d, the number of rows", l.row-l.groupRow, want)
			}
			l.groupRow = l.row
		}
		if ok, err := l.load(); err != nil || !ok {
			return false, err
		}
	}
	l.n = min(batch, l.inPage)
	present, err := l.levels(l.n)
	if err != nil {
		return false, err
	}
	if l.full = present == l.n; l.full {
		return true, l.values(l.items[:l.n])
	}
	if err := l.values(l.present[:present]); err != nil {
		return false, err
	}
	j := 0
	for i, d := range l.def[:l.n] {
		l.items[i] = l.null
		if d == l.maxDef {
			l.items[i] = l.present[j]
			j++
		}
	}
	return true, nil
}
