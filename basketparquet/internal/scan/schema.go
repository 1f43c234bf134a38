// Package scan reads columns of parquet files as streams of typed values, for
// files that may be damaged or hostile.
//
// It reads the footer (footer.go) into a schema (schema.go), and walks a
// column's pages (pages.go), which it decompresses (decompress.go). Levels and
// dictionary indexes (hybrid.go) and values (codec.go, delta.go) are decoded a
// batch at a time into a Column (column.go) or Lists (lists.go).
//
// Why not parquet-go's reader, when its writer serves: v0.32.0 makes a list of
// the footer as long as the file says (encoding/thrift/decode.go,
// decodeFuncSliceOf), and doubles its buffer for LZ4 without end
// (compress/lz4/lz4.go). Of 2,400 test files with one byte changed, 9 ended the
// process for want of memory, which no recover catches, 78 panicked, and 14
// gave fewer rows than they tell, without an error.
//
// Errors name column and place; the caller puts file and kind in front.
package scan

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// The fields of the LogicalType union that this package tells apart.
const (
	logicalString    = 1
	logicalList      = 3
	logicalEnum      = 4
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTimestamp = 8
	logicalInteger   = 10
	logicalUnknown   = 11
	logicalFloat16   = 15
)

var logicalNames = [...]string{
	1: "STRING", 2: "MAP", 3: "LIST", 4: "ENUM", 5: "DECIMAL", 6: "DATE", 7: "TIME", 8: "TIMESTAMP",
	10: "INTEGER", 11: "NULL", 12: "JSON", 13: "BSON", 14: "UUID", 15: "FLOAT16",
}

// A File is one parquet file whose footer has been read and checked. It is
// safe for concurrent use if its io.ReaderAt is.
type File struct {
	r    io.ReaderAt
	size int64
	meta *footer
	top  []node // the columns of the first level
}

// A node is a column: a leaf with values, or a group.
type node struct {
	*element
	kids  []node
	index int // among the leaves
}

// Open reads the footer of the size bytes of r.
func Open(r io.ReaderAt, size int64) (*File, error) {
	meta, err := readFooter(r, size)
	if err != nil {
		return nil, err
	}
	f := &File{r: r, size: size, meta: meta}
	if len(meta.schema) == 0 {
		return nil, fmt.Errorf("footer: the schema is empty")
	}
	b := treeBuilder{left: meta.schema}
	root, err := b.node(0)
	if err != nil {
		return nil, fmt.Errorf("footer: schema: %w", err)
	}
	if len(b.left) > 0 {
		return nil, fmt.Errorf("footer: schema: %d elements belong to no column", len(b.left))
	}
	f.top = root.kids
	return f, nil
}

// treeBuilder turns the schema's list of elements into a tree.
type treeBuilder struct {
	left   []element
	leaves int
}

func (b *treeBuilder) node(depth int) (node, error) {
	if len(b.left) == 0 {
		return node{}, fmt.Errorf("a group has fewer columns than it says")
	}
	if depth > maxDepth {
		return node{}, fmt.Errorf("columns are nested over %d deep", maxDepth)
	}
	n := node{element: &b.left[0]}
	b.left = b.left[1:]
	if n.repetition < 0 || n.repetition > format.Repeated {
		return node{}, fmt.Errorf("column %q: repetition %d; want 0, 1 or 2", n.name, n.repetition)
	}
	if n.leaf {
		n.index = b.leaves
		b.leaves++
		return n, nil
	}
	if n.children < 0 || int(n.children) > len(b.left) {
		return node{}, fmt.Errorf("column %q: a group of %d columns; %d are left", n.name, n.children, len(b.left))
	}
	for range n.children {
		kid, err := b.node(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.kids = append(n.kids, kid)
	}
	return n, nil
}

// NumRows is the number of rows that the footer tells.
func (f *File) NumRows() int64 { return f.meta.rows }

// Names lists the columns of the first level, in order.
func (f *File) Names() []string {
	names := make([]string, len(f.top))
	for i, n := range f.top {
		names[i] = n.name
	}
	return names
}

// Has reports whether there is a column of that name.
func (f *File) Has(name string) bool {
	for _, n := range f.top {
		if n.name == name {
			return true
		}
	}
	return false
}

func (f *File) column(name string) (*node, error) {
	var found *node
	for i := range f.top {
		if f.top[i].name != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("column %s is there twice; rename one", name)
		}
		found = &f.top[i]
	}
	if found == nil {
		return nil, fmt.Errorf("column %s is missing; the columns are %s", name, some(f.Names()))
	}
	return found, nil
}

// some joins names for a message, not too many. A damaged file may have any
// name, so those that would spoil a line are quoted.
func some(names []string) string {
	const most = 20
	var shown []string
	for _, n := range names[:min(most, len(names))] {
		if q := strconv.Quote(n); q != `"`+n+`"` || n == "" {
			n = q
		}
		shown = append(shown, n)
	}
	s := strings.Join(shown, ", ")
	if len(names) > most {
		s += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return s
}

// kind returns the logical type of a leaf, whether the file tells it in the
// newer or the older way.
func (e *element) kind() logical {
	if e.logical.kind != 0 {
		return e.logical
	}
	switch c := deprecated.ConvertedType(e.converted); c {
	case deprecated.UTF8:
		return logical{kind: logicalString}
	case deprecated.Enum:
		return logical{kind: logicalEnum}
	case deprecated.List:
		return logical{kind: logicalList}
	case deprecated.Decimal:
		return logical{kind: logicalDecimal, scale: e.scale}
	case deprecated.Date:
		return logical{kind: logicalDate}
	case deprecated.TimestampMillis:
		return logical{kind: logicalTimestamp, unit: 1}
	case deprecated.TimestampMicros:
		return logical{kind: logicalTimestamp, unit: 2}
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return logical{kind: logicalInteger}
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		return logical{kind: logicalInteger, signed: true}
	default:
		if e.converted >= 0 {
			return logical{kind: -1}
		}
		return logical{}
	}
}

// describe names a column's type for a message.
func (n *node) describe() string {
	var s string
	switch l := n.kind(); {
	case !n.leaf && l.kind == logicalList:
		s = "LIST"
		if len(n.kids) == 1 {
			elem := n.kids[0]
			if len(elem.kids) == 1 && elem.name != "array" {
				elem = elem.kids[0] // of a three-level list
			}
			s += " of " + elem.describe()
		}
	case !n.leaf:
		s = fmt.Sprintf("group of %d columns", len(n.kids))
	default:
		s = n.typ.String()
		switch {
		case l.kind == logicalTimestamp:
			s += fmt.Sprintf(" (TIMESTAMP, unit %d)", l.unit)
			if 1 <= l.unit && l.unit <= 3 {
				s = n.typ.String() + " (TIMESTAMP in " + [...]string{"ms", "us", "ns"}[l.unit-1] + ")"
			}
		case l.kind == logicalDecimal:
			s += fmt.Sprintf(" (DECIMAL of scale %d)", l.scale)
		case l.kind == logicalInteger && !l.signed:
			s += " (unsigned)"
		case l.kind > 0 && int(l.kind) < len(logicalNames) && logicalNames[l.kind] != "":
			s += " (" + logicalNames[l.kind] + ")"
		case l.kind != 0:
			s += " (another logical type)"
		}
	}
	if n.repetition == format.Repeated {
		s = "repeated " + s
	}
	return s
}

// A TypeError says that a column is there but cannot be read as what is wanted.
type TypeError struct{ Column, Found, Want string }

func (e *TypeError) Error() string {
	return fmt.Sprintf("column %s is of type %s; want %s", e.Column, e.Found, e.Want)
}

// flat finds a leaf of the first level that is not repeated.
func flat[T any](f *File, name, want string, codecOf func(*element) (codec[T], bool)) (*Column[T], error) {
	n, err := f.column(name)
	if err != nil {
		return nil, err
	}
	c := &Column[T]{pages: pages{f: f, leaf: n, name: name}}
	if n.repetition == format.Optional {
		c.maxDef = 1
	}
	if n.emptyOfNulls(f) {
		c.group = len(f.meta.groups) // nothing to read
		return c, nil
	}
	var ok bool
	if n.leaf && n.repetition != format.Repeated {
		c.codec, ok = codecOf(n.element)
	}
	if !ok {
		return nil, &TypeError{name, n.describe(), want}
	}
	for g := range f.meta.groups {
		group := &f.meta.groups[g]
		if got := group.chunks[n.index].values; got != group.rows {
			return nil, fmt.Errorf("row group %d: column %s has %d values; the row group has %d rows", g, name, got, group.rows)
		}
	}
	return c, nil
}

// emptyOfNulls reports whether n is a column of type NULL in a file without
// rows: what pandas writes for an empty table, where nothing tells a type.
func (n *node) emptyOfNulls(f *File) bool {
	return f.meta.rows == 0 && n.leaf && n.kind().kind == logicalUnknown
}

// Strings opens a column of strings.
func Strings(f *File, name string) (*Column[string], error) {
	return flat(f, name, "a string (BYTE_ARRAY)", stringCodec)
}

// Times opens a column of timestamps.
func Times(f *File, name string) (*Column[Time], error) {
	return flat(f, name, "a timestamp (INT64 with TIMESTAMP in ms, us or ns; INT96; INT32 with DATE)", timeCodec)
}

// Ints opens a column of integers.
func Ints(f *File, name string) (*Column[int64], error) {
	return flat(f, name, "an integer (INT32 or INT64)", intCodec)
}

// Floats opens a column of numbers.
func Floats(f *File, name string) (*Column[float64], error) {
	return flat(f, name, "a number (FLOAT, DOUBLE, FLOAT16, INT32, INT64, BOOLEAN or DECIMAL)", floatCodec)
}

// IntLists opens a column of lists of integers. Null elements of a list come
// as null.
func IntLists(f *File, name string, null int64) (*Lists, error) {
	n, err := f.column(name)
	if err != nil {
		return nil, err
	}
	l := &Lists{null: null, Column: Column[int64]{pages: pages{f: f, leaf: n, name: name}}}
	if n.emptyOfNulls(f) {
		l.group, l.counted = len(f.meta.groups), len(f.meta.groups) // nothing to read
		return l, nil
	}
	ok := false
	switch {
	case n.leaf:
		// An unannotated repeated field, as parquet-protobuf writes it.
		ok = n.repetition == format.Repeated
		l.leaf = n
	case n.kind().kind == logicalList && n.repetition != format.Repeated && len(n.kids) == 1 && n.kids[0].repetition == format.Repeated:
		if n.repetition == format.Optional {
			l.listDef = 1
		}
		// Backward compatibility as in parquet-format's LogicalTypes.md: a
		// repeated leaf is the element of a two-level list; a repeated group of
		// one column is the middle of a three-level list unless its name says
		// that it is the element.
		l.leaf = &n.kids[0]
		if mid := l.leaf; !mid.leaf && len(mid.kids) == 1 && mid.name != "array" && mid.name != name+"_tuple" {
			l.leaf = &mid.kids[0]
			ok = l.leaf.leaf && l.leaf.repetition != format.Repeated
		} else {
			ok = mid.leaf
		}
	}
	if ok {
		l.codec, ok = intCodec(l.leaf.element)
	}
	if !ok {
		return nil, &TypeError{name, n.describe(), "a list of integers (LIST, or repeated, of INT32 or INT64)"}
	}
	// A list may be long in few bytes, but not out of all proportion.
	values, most := int64(0), int64(1<<24)+1024*f.size
	for _, g := range f.meta.groups {
		if values += min(g.chunks[l.leaf.index].values, most); values > most {
			return nil, fmt.Errorf("column %s has over %d values in a file of %d bytes", name, most, f.size)
		}
	}
	l.maxRep, l.elemDef = 1, l.listDef+1
	l.maxDef = l.elemDef
	if l.leaf.repetition == format.Optional {
		l.maxDef++
	}
	return l, nil
}
