package basketparquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A craftedColumn is a required column of one page, which may be anything.
type craftedColumn struct {
	name     string
	typ      format.Type
	codec    format.CompressionCodec
	encoding format.Encoding
	page     []byte
	size     int // uncompressed, by default that of page
	children int // of a group, which has no page
}

// craft returns a parquet file of crafted columns.
func craft(t testing.TB, rows int, columns ...craftedColumn) []byte {
	t.Helper()
	file := []byte("PAR1")
	marshal := func(v any) []byte {
		b, err := thrift.Marshal(new(thrift.CompactProtocol), v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	schema := []format.SchemaElement{{Name: "schema", NumChildren: thrift.New(int32(len(columns)))}}
	var chunks []format.ColumnChunk
	for _, c := range columns {
		if c.children > 0 {
			schema = append(schema, format.SchemaElement{Name: c.name, NumChildren: thrift.New(int32(c.children))})
			continue
		}
		size := c.size
		if size == 0 {
			size = len(c.page)
		}
		start := int64(len(file))
		file = append(file, marshal(format.PageHeader{
			Type: format.DataPage, UncompressedPageSize: int32(size), CompressedPageSize: int32(len(c.page)),
			DataPageHeader: thrift.New(format.DataPageHeader{NumValues: int32(rows), Encoding: c.encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE}),
		})...)
		file = append(file, c.page...)
		schema = append(schema, format.SchemaElement{Name: c.name, Type: thrift.New(c.typ), RepetitionType: thrift.New(format.Required)})
		chunks = append(chunks, format.ColumnChunk{MetaData: format.ColumnMetaData{
			Type: c.typ, Codec: c.codec, NumValues: int64(rows), DataPageOffset: start, TotalCompressedSize: int64(len(file)) - start,
		}})
	}
	footer := marshal(format.FileMetaData{
		Version: 1, Schema: schema, NumRows: int64(rows), RowGroups: []format.RowGroup{{NumRows: int64(rows), Columns: chunks}},
	})
	file = append(file, footer...)
	return append(binary.LittleEndian.AppendUint32(file, uint32(len(footer))), "PAR1"...)
}

// A page of zstd that decompresses to 128 MiB, without a frame size.
func TestTable_hostilePage(t *testing.T) {
	const size = 128 << 20
	var page bytes.Buffer
	w, err := zstd.NewWriter(&page, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<16)
	for range size / len(zeros) {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := craft(t, size/8, craftedColumn{name: "x", typ: format.Int64, codec: format.Zstd, page: page.Bytes(), size: size})
	if err := readTable(t, file); err == nil || !strings.Contains(err.Error(), "want at most 20971520 bytes or 256 times as many") {
		t.Errorf("error %v", err)
	}
}

// A page of a few bytes in a DELTA encoding, with 16 million values.
func TestTable_hostileDelta(t *testing.T) {
	const rows = 16 << 20
	// A header: blocks of 1<<20 values in one miniblock; the first value is 7.
	page := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 1<<20), 1), rows)
	page = append(page, 14)
	for range rows >> 20 {
		page = append(page, 4, 0) // the delta 2 and a width of 0 bits
	}
	table := openTable(t, craft(t, rows, craftedColumn{name: "x", typ: format.Int64, encoding: format.DeltaBinaryPacked, page: page}))
	last, n := 0.0, 0
	bounded(t, func() {
		for batch, err := range table.Rows(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			last, n = batch[len(batch)-1], n+len(batch)
		}
	})
	if n != rows || last != 7+2*(rows-1) {
		t.Errorf("%d values, the last %v: want %d and %v", n, last, rows, 7+2*(rows-1))
	}
}

// oneLine fails the test unless an error's text is one line of printable text.
func oneLine(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || !utf8.ValidString(text) || len(text) > 8<<10 {
		t.Errorf("error of %d bytes, byte %d is not printable: %.300q", len(text), i, text)
	}
}

func TestErrors_hostileNames(t *testing.T) {
	names := map[string]string{
		"newline":      "a\nbasket: all is well",
		"escape":       "\x1b[2J\x1b[31mred",
		"nul":          "a\x00b",
		"direction":    "abc\u202Ecba",
		"line-end":     "a\u2028b\u0085c",
		"invalid":      "\xff\xfe\x80",
		"quote":        `a"b\`,
		"empty":        "",
		"long":         strings.Repeat("n", 100_000),
		"long-invalid": strings.Repeat("\xff", 100_000),
		"private":      "\ue000\U0010ffff",
	}
	for name, hostile := range names {
		t.Run(name, func(t *testing.T) {
			column := craftedColumn{name: hostile, typ: format.Int64, page: make([]byte, 8)}
			text := craftedColumn{name: hostile, typ: format.ByteArray, page: make([]byte, 4)}
			short := craftedColumn{name: hostile, typ: format.Int64, page: make([]byte, 7)}
			user := craftedColumn{name: "user_id", typ: format.ByteArray, page: append(binary.LittleEndian.AppendUint32(nil, uint32(len(hostile))), hostile...)}
			variant := craftedColumn{name: "variant_id", typ: format.Int64, page: make([]byte, 8)}
			files := map[string][]byte{
				"missing":  craft(t, 1, column),
				"many":     craft(t, 1, slices.Repeat([]craftedColumn{column}, 30)...),
				"twice":    craft(t, 1, column, column),
				"type":     craft(t, 1, text),
				"short":    craft(t, 1, short),
				"group":    craft(t, 1, craftedColumn{name: hostile, children: 9}, column),
				"user":     craft(t, 1, user, variant),
				"encoding": craft(t, 1, craftedColumn{name: hostile, typ: format.Int64, encoding: 77, page: make([]byte, 8)}),
				"codec":    craft(t, 1, craftedColumn{name: hostile, typ: format.Int64, codec: 77, page: make([]byte, 8)}),
				"range":    bytes.ReplaceAll(craft(t, 1, column), []byte("PAR1"), []byte("PAR\n")),
			}
			for kind, b := range files {
				errs := readErrors(t, b)
				if len(errs) == 0 {
					t.Errorf("%s: no error", kind)
				}
				for _, err := range errs {
					oneLine(t, err)
				}
			}
			path := "orders/" + strings.ToValidUTF8(strings.ReplaceAll(hostile, "\x00", ""), "") + ".parquet"
			if _, err := Materialize(t.Context(), fstest.MapFS{path: {Data: []byte("x")}}); err == nil {
				t.Error("no error")
			} else {
				oneLine(t, err)
			}
			row := basket.Row{UserID: hostile}
			for _, err := range []error{
				WriteRows(new(bytes.Buffer), []string{hostile, hostile}, basket.Values([]basket.Row{row})),
				WriteRows(new(bytes.Buffer), []string{"f"}, basket.Values([]basket.Row{row})),
				WriteTable(new(bytes.Buffer), []string{hostile, hostile}, nil),
			} {
				if !errors.Is(err, basket.ErrData) {
					t.Errorf("error %v", err)
					continue
				}
				oneLine(t, err)
			}
		})
	}
}
