package basket_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func snapshotOf(t testing.TB, s *basket.MemoryStore) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteSnapshot(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReadSnapshot_golden reads a snapshot that a Python program wrote by the
// description of the format, and writes the same rows.
func TestReadSnapshot_golden(t *testing.T) {
	var want struct {
		Names  []string
		Newest [2]int64
		Rows   []struct {
			UserID      string `json:"user_id"`
			Seconds     int64
			Nanoseconds int64
			Number      int64
			Bits        []string
		}
	}
	text, err := os.ReadFile("testdata/snapshot/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/snapshot/rows.basket")
	if err != nil {
		t.Fatal(err)
	}
	s, err := basket.ReadSnapshot(bytes.NewReader(golden))
	if strconv.IntSize == 32 {
		if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), "number 12345678901") {
			t.Errorf("a number of more than 32 bits: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Names, s.Features()); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if got := s.Newest(); !got.Equal(time.Unix(want.Newest[0], want.Newest[1])) || s.Len() != len(want.Rows) {
		t.Errorf("%d users, newest %v: want %d, %v", s.Len(), got, len(want.Rows), want.Newest)
	}
	for _, w := range want.Rows {
		got, err := s.Row(t.Context(), w.UserID)
		if err != nil {
			t.Fatal(err)
		}
		var bits []string
		for _, v := range got.Values {
			bits = append(bits, fmt.Sprintf("%016x", math.Float64bits(v)))
		}
		if diff := cmp.Diff(w.Bits, bits); diff != "" || !got.OrderedAt.Equal(time.Unix(w.Seconds, w.Nanoseconds)) || int64(got.Number) != w.Number {
			t.Errorf("row of %.20q: %v, want %v (-want +got):\n%s", w.UserID, got, w, diff)
		}
	}
	// Blocks may be cut anywhere, so the bytes differ, but not the rows.
	again, err := basket.ReadSnapshot(bytes.NewReader(snapshotOf(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want.Rows {
		one, _ := s.Row(t.Context(), w.UserID)
		two, err := again.Row(t.Context(), w.UserID)
		if diff := cmp.Diff(one, two, cmpopts.EquateNaNs()); diff != "" || err != nil {
			t.Errorf("row of %.20q, written again: %v (-want +got):\n%s", w.UserID, err, diff)
		}
	}
}

// TestMemoryStore_snapshots writes and reads stores of many sizes, after random updates.
func TestMemoryStore_snapshots(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, users := range []int{0, 1, 63, 64, 65, 4095, 4096, 4097, 9000} {
		s := mustStore(t)
		plain := map[string]basket.Row{}
		put := func(n int) {
			rows := make([]basket.Row, n)
			for i := range rows {
				rows[i] = row(strings.Repeat("y", i%300)+strconv.Itoa(i), r.IntN(50), r.Float64())
				if old, ok := plain[rows[i].UserID]; !ok || !rows[i].OrderedAt.Before(old.OrderedAt) {
					plain[rows[i].UserID] = rows[i]
				}
			}
			if err := s.Put(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
		}
		put(users)
		put(users / 2)
		first := snapshotOf(t, s)
		if !bytes.Equal(first, snapshotOf(t, s)) {
			t.Errorf("%d users: two snapshots of the same rows differ", users)
		}
		target := mustStore(t, row("old", 1, 1))
		if err := target.ReplaceSnapshot(iotest.HalfReader(bytes.NewReader(first))); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, snapshotOf(t, target)) {
			t.Errorf("%d users: the snapshot of a snapshot differs", users)
		}
		var newest time.Time
		for id, want := range plain {
			if got, err := target.Row(t.Context(), id); err != nil || !cmp.Equal(want, got) {
				t.Fatalf("%d users: row of %.20q: %v, %v, want %v", users, id, got, err, want)
			}
			if want.OrderedAt.After(newest) {
				newest = want.OrderedAt
			}
		}
		if target.Len() != len(plain) || !target.Newest().Equal(newest) {
			t.Errorf("%d users, newest %v: want %d, %v", target.Len(), target.Newest(), len(plain), newest)
		}
		// A store from a snapshot is like any other.
		if err := target.Put(t.Context(), []basket.Row{row("new", 70, 1), row("0", 70, 2)}); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]float64{"new": 1, "0": 2} {
			if got, err := target.Row(t.Context(), id); err != nil || got.Values[0] != want {
				t.Errorf("%d users: row of %s after Put: %v, %v", users, id, got, err)
			}
		}
	}
}

// TestReadSnapshot_damaged changes 2,000 single bytes and cuts at 200 places: all of them
// are found. A failed ReplaceSnapshot leaves the old rows.
func TestReadSnapshot_damaged(t *testing.T) {
	var rows []basket.Row
	for i := range 300 {
		rows = append(rows, row(fmt.Sprint("user-", i), i, float64(i)))
	}
	good := snapshotOf(t, mustStore(t, rows...))
	kept := mustStore(t, row("old", 1, 1))
	refuse := func(what string, bad []byte) {
		t.Helper()
		if err := kept.ReplaceSnapshot(bytes.NewReader(bad)); !errors.Is(err, basket.ErrData) {
			t.Errorf("%s: %v, want ErrData", what, err)
		}
		if _, err := kept.Row(t.Context(), "old"); err != nil {
			t.Fatalf("%s: the old row is gone: %v", what, err)
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 2000 {
		at, change := i*len(good)/2000, byte(1+r.IntN(255))
		bad := bytes.Clone(good)
		bad[at] ^= change
		refuse(fmt.Sprintf("byte %d changed by %#x", at, change), bad)
	}
	for i := range 200 {
		at := i * len(good) / 200
		refuse(fmt.Sprint("cut at ", at), good[:at])
	}
	refuse("a byte more", append(bytes.Clone(good), 0))
	refuse("twice", append(bytes.Clone(good), good...))
}

// TestReadSnapshot_refusals: files whose checksums are right and whose content is not.
func TestReadSnapshot_refusals(t *testing.T) {
	le := binary.LittleEndian
	// A small snapshot: a header of 24+4+1 bytes at 16, and a block of two rows.
	build := func(change func(header, block []byte)) []byte {
		header := append([]byte("basket\x1a\n"), make([]byte, 8+24+5)...)
		le.PutUint32(header[8:], 1)
		le.PutUint32(header[12:], 29)
		le.PutUint64(header[16:], 2)
		le.PutUint64(header[24:], 9)
		le.PutUint32(header[36:], 1)
		le.PutUint32(header[40:], 1)
		header[44] = 'f'
		block := make([]byte, 8+2*32+2*8+4)
		le.PutUint32(block, 2)
		le.PutUint32(block[4:], 4)
		for i, b := range [][]byte{block[8:], block[40:]} {
			le.PutUint64(b, uint64(8+i))
			le.PutUint64(b[8:], 1)
			le.PutUint64(b[16:], uint64(2*i))
			le.PutUint32(b[24:], 2)
		}
		copy(block[88:], "abcd")
		change(header, block)
		return sealed(header, block, make([]byte, 8))
	}
	if _, err := basket.ReadSnapshot(bytes.NewReader(build(func(_, _ []byte) {}))); err != nil {
		t.Fatalf("the unchanged snapshot: %v", err)
	}
	tests := []struct {
		name   string
		change func(header, block []byte)
		want   string
	}{
		{"another file", func(h, _ []byte) { copy(h, "PAR1") }, `begins with "PAR1et\x1a\n": want a snapshot`},
		{"a later version", func(h, _ []byte) { h[8] = 2 }, "version 2: want 1"},
		{"a long header", func(h, _ []byte) { le.PutUint32(h[12:], 1<<20+1) }, "a header of 1048577 bytes: want 24 to 1048576"},
		{"more features", func(h, _ []byte) { le.PutUint32(h[36:], math.MaxUint32) }, "the header ends in the name of feature 1"},
		{"fewer features", func(h, _ []byte) { le.PutUint32(h[36:], 0) }, "the header has 5 bytes after the names"},
		{"a long name", func(h, _ []byte) { le.PutUint32(h[40:], math.MaxUint32) }, "the header ends in the name of feature 0"},
		{"more users", func(h, _ []byte) { le.PutUint64(h[16:], math.MaxUint64) }, "it has 2 rows, and its header says 18446744073709551615"},
		{"another event time", func(h, _ []byte) { h[24]++ }, "the latest event time is"},
		{"many rows", func(_, b []byte) { le.PutUint32(b, 4097) }, "a block of 4097 rows and 4 bytes"},
		{"no rows", func(_, b []byte) { le.PutUint32(b, 0) }, "a block of 0 rows and 4 bytes"},
		{"many bytes", func(_, b []byte) { le.PutUint32(b[4:], 1<<20+1) }, "a block of 2 rows and 1048577 bytes"},
		{"an ID elsewhere", func(_, b []byte) { b[40+16] = 1 }, "row 1 of the block before: a user ID of 2 bytes at byte 1 of 4: want it at byte 2"},
		{"a long ID", func(_, b []byte) { b[40+24] = 3 }, "row 1 of the block before: a user ID of 3 bytes at byte 2 of 4"},
		{"an ID of half the address space", func(_, b []byte) { le.PutUint32(b[40+24:], math.MaxUint32) }, "a user ID of 4294967295 bytes"},
		{"a short ID", func(_, b []byte) { b[40+24] = 1 }, "the block before has 4 bytes of user IDs, and its rows have 3"},
		{"a full second", func(_, b []byte) { le.PutUint32(b[8+28:], 1e9) }, "row 0 of the block before: 1000000000 nanoseconds"},
		{"one user twice", func(_, b []byte) { copy(b[88:], "abab") }, "rows 0 and 1 are of one user"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := basket.ReadSnapshot(bytes.NewReader(build(test.change)))
			if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), test.want) || s != nil {
				t.Errorf("%v, want an ErrData with %q", err, test.want)
			}
		})
	}
}

// sealed returns a snapshot of parts, with their checksums.
func sealed(parts ...[]byte) []byte {
	var file, all []byte
	for _, part := range parts {
		all = append(all, part...)
		file = binary.LittleEndian.AppendUint32(append(file, part...), castagnoli(all))
	}
	return file
}

// castagnoli is the CRC-32C, bit by bit.
func castagnoli(data []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range data {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ crc&1*0x82f63b78
		}
	}
	return ^crc
}

func TestMemoryStore_snapshotErrors(t *testing.T) {
	cause := errors.New("disk on fire")
	s := mustStore(t, row("a", 1, 1))
	good := snapshotOf(t, s)
	if err := s.WriteSnapshot(failingWriter{cause}); !errors.Is(err, cause) {
		t.Errorf("WriteSnapshot: %v", err)
	}
	for _, n := range []int{0, 20, len(good) - 3, len(good)} {
		_, err := basket.ReadSnapshot(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(cause)))
		if _, isKind := errors.AsType[basket.Error](err); !errors.Is(err, cause) || isKind {
			t.Errorf("an error after %d bytes: %v", n, err)
		}
	}
	other, err := basket.NewMemoryStore(basket.Values[basket.Row](nil), "b", "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.ReplaceSnapshot(bytes.NewReader(good)); !errors.Is(err, basket.ErrFeatureMismatch) {
		t.Errorf("a snapshot of other features: %v", err)
	}
	wide, err := basket.NewMemoryStore(basket.Values[basket.Row](nil), strings.Repeat("x", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := wide.WriteSnapshot(io.Discard); !errors.Is(err, basket.ErrData) {
		t.Errorf("a name of a megabyte: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestReadSnapshot_longRows: user IDs and rows of more than a block.
func TestReadSnapshot_longRows(t *testing.T) {
	names := make([]string, 50_000)
	values := make([]float64, len(names))
	for i := range names {
		names[i], values[i] = fmt.Sprint(i), float64(i)
	}
	rows := []basket.Row{{UserID: strings.Repeat("x", 3<<20), Values: values}, {UserID: "b", Values: values}, {UserID: "c", Values: values}, {UserID: "d", Values: values}}
	s, err := basket.NewMemoryStore(basket.Values(rows), names...)
	if err != nil {
		t.Fatal(err)
	}
	again, err := basket.ReadSnapshot(bytes.NewReader(snapshotOf(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range rows {
		if got, err := again.Row(t.Context(), want.UserID); err != nil || !cmp.Equal(want.Values, got.Values) {
			t.Errorf("row of %.5q: %v", want.UserID, err)
		}
	}
}

// TestReadSnapshot_boundedMemory: a block that promises much is not believed.
func TestReadSnapshot_boundedMemory(t *testing.T) {
	header := append([]byte("basket\x1a\n"), make([]byte, 8+24)...)
	header[8], header[12] = 1, 24
	block := binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, math.MaxInt32)
	file := append(sealed(header), block...)
	file = append(file, make([]byte, 100)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := basket.ReadSnapshot(bytes.NewReader(file))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 || !errors.Is(err, basket.ErrData) {
		t.Errorf("%d bytes allocated for %d, %v", n, len(file), err)
	}
}

// TestMemoryStore_snapshotConcurrentSafe writes snapshots while rows are put: each has
// every user, and all rows of a Put or none.
func TestMemoryStore_snapshotConcurrentSafe(t *testing.T) {
	var ids []string
	rows := func(n int) []basket.Row {
		var rows []basket.Row
		for _, id := range ids {
			rows = append(rows, row(id, n, float64(n)))
		}
		return rows
	}
	for i := range 20 {
		ids = append(ids, fmt.Sprint("user-", i))
	}
	s := mustStore(t, rows(0)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 2000 {
			if err := s.Put(t.Context(), rows(n)); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		got, err := basket.ReadSnapshot(bytes.NewReader(snapshotOf(t, s)))
		if err != nil {
			t.Fatal(err)
		}
		all, err := got.Rows(t.Context(), ids)
		if err != nil || got.Len() != len(ids) {
			t.Fatalf("%d users, %v", got.Len(), err)
		}
		for _, r := range all {
			if !r.OrderedAt.Equal(all[0].OrderedAt) {
				t.Fatalf("a snapshot of half a Put: %v and %v", all[0], r)
			}
		}
	}
}

// FuzzReadSnapshot reads any bytes, with right checksums or not: an error, or a store that
// writes a snapshot of the same rows.
func FuzzReadSnapshot(f *testing.F) {
	golden, err := os.ReadFile("testdata/snapshot/rows.basket")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden, 0, 0)
	f.Add(snapshotOf(f, mustStore(f, row("a", 1, 1), row("b", 2, 2))), 68, 200)
	f.Fuzz(func(t *testing.T, data []byte, one, two int) {
		check := func(data []byte) {
			s, err := basket.ReadSnapshot(bytes.NewReader(data))
			if err != nil {
				if !errors.Is(err, basket.ErrData) {
					t.Errorf("an error of no kind: %v", err)
				}
				return
			}
			first := snapshotOf(t, s)
			again, err := basket.ReadSnapshot(bytes.NewReader(first))
			if err != nil {
				t.Fatalf("a snapshot that was just written: %v", err)
			}
			if !bytes.Equal(first, snapshotOf(t, again)) || again.Len() != s.Len() {
				t.Error("the rows changed")
			}
		}
		check(data)
		if 0 <= one && one <= two && two <= len(data) {
			check(sealed(data[:one], data[one:two], make([]byte, 8)))
		}
	})
}

// BenchmarkReadSnapshot reads a million users, with IDs of 128 digits; bytes/user are of
// the file and of the heap afterwards.
func BenchmarkReadSnapshot(b *testing.B) {
	const users = 1_000_000
	s, err := basket.NewMemoryStore(func(yield func(basket.Row, error) bool) {
		for i := range users {
			if !yield(row(fmt.Sprintf("%0128x", uint64(i)*0x9e3779b1), i, 1), nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	data := snapshotOf(b, s)
	runtime.KeepAlive(s)
	s = nil
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	b.Run("users=1000000", func(b *testing.B) {
		before := heap()
		b.SetBytes(int64(len(data)))
		b.ResetTimer()
		var read *basket.MemoryStore
		for range b.N {
			if read, err = basket.ReadSnapshot(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/users, "heap-bytes/user")
		b.ReportMetric(float64(len(data))/users, "file-bytes/user")
		runtime.KeepAlive(read)
	})
}

// BenchmarkWriteSnapshot writes a million users.
func BenchmarkWriteSnapshot(b *testing.B) {
	s, err := basket.NewMemoryStore(func(yield func(basket.Row, error) bool) {
		for i := range 1_000_000 {
			if !yield(row(fmt.Sprintf("%0128x", uint64(i)*0x9e3779b1), i, 1), nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.WriteSnapshot(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
