package basket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"unsafe"
)

// The format of a snapshot. Numbers are little-endian; a checksum is the CRC-32C of all
// bytes before it, other checksums apart.
//
//	8 bytes   "basket\x1a\n"
//	uint32    1, the version
//	uint32    length of the rest of the header, which is:
//	          uint64 users; int64 seconds and uint32 nanoseconds of the latest event time,
//	          0 without users; uint32 features; for each, uint32 length and name
//	uint32    checksum
//
// Blocks follow, each of
//
//	uint32    n, rows, from 1 to 4096
//	uint32    bytes of the user IDs
//	n times   int64 seconds and int64 number of the row, uint64 where its user ID starts,
//	          uint32 length of the ID, uint32 nanoseconds
//	          n*features float64: the values
//	          the user IDs, without gaps
//	uint32    checksum
//
// A block of more than one row has at most 1 MiB of values and 1 MiB of IDs. The last
// block has 0 rows and 0 bytes, and nothing follows its checksum. Each user has one row.
const (
	snapshotMagic   = "basket\x1a\n"
	snapshotVersion = 1
	snapshotRecord  = 32 // bytes
	maxHeader       = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteSnapshot writes the names of the features and the newest row of each user, in the
// order in which the rows were put: 32 bytes a user, 8 a value and the ID. It writes the
// rows of the moment when it is called; other calls do not wait for it. The bytes are for
// [ReadSnapshot] and ReplaceSnapshot, on any machine. They hold user IDs as they are.
//
// The caller replaces a file as a whole, by a temporary file, Sync and Rename, so that
// readers do not see half of it.
func (s *MemoryStore) WriteSnapshot(w io.Writer) error {
	s.write.Lock()
	t := s.table.Load()
	current, rows, users, newest := t.current(), t.rows.Load(), t.users, t.newest
	s.write.Unlock()
	if users == 0 {
		newest = record{}
	}
	out := snapshotWriter{w: w}
	if err := out.header(s.names, users, newest); err != nil {
		return err
	}
	var block []int // records
	keyBytes := 0
	for i, slot := range current {
		if slot == 0 {
			continue
		}
		r, _ := rows.at(t, i)
		if len(block) == 1<<t.shift || len(block) > 0 && keyBytes+int(r.keyLen) > maxKeys {
			if err := out.block(t, rows, block, keyBytes); err != nil {
				return err
			}
			block, keyBytes = block[:0], 0
		}
		block, keyBytes = append(block, i), keyBytes+int(r.keyLen)
	}
	if len(block) > 0 {
		if err := out.block(t, rows, block, keyBytes); err != nil {
			return err
		}
	}
	out.buf = append(out.buf, make([]byte, 8)...)
	return out.flush()
}

// A snapshotWriter writes the parts of a snapshot, each by one Write.
type snapshotWriter struct {
	w   io.Writer
	buf []byte
	crc uint32
}

func (w *snapshotWriter) header(names []string, users int, newest record) error {
	le := binary.LittleEndian
	b := append(w.buf, snapshotMagic...)
	b = le.AppendUint32(b, snapshotVersion)
	b = le.AppendUint32(b, 0)
	start := len(b)
	b = le.AppendUint64(b, uint64(users))
	b = le.AppendUint64(b, uint64(newest.sec))
	b = le.AppendUint32(b, uint32(newest.nsec))
	b = le.AppendUint32(b, uint32(len(names)))
	for _, name := range names {
		b = append(le.AppendUint32(b, uint32(len(name))), name...)
	}
	if len(b)-start > maxHeader {
		return fmt.Errorf("basket: %w: snapshot: the names of %d features have %d bytes: want at most %d", ErrData, len(names), len(b)-start, maxHeader)
	}
	le.PutUint32(b[start-4:], uint32(len(b)-start))
	w.buf = b
	return w.flush()
}

func (w *snapshotWriter) block(t *table, rows *rowChunks, block []int, keyBytes int) error {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(w.buf, uint32(len(block))), uint32(keyBytes))
	start := uint64(0)
	for _, i := range block {
		r, _ := rows.at(t, i)
		b = le.AppendUint64(b, uint64(r.sec))
		b = le.AppendUint64(b, uint64(r.number))
		b = le.AppendUint64(b, start)
		b = le.AppendUint32(b, uint32(r.keyLen))
		b = le.AppendUint32(b, uint32(r.nsec))
		start += uint64(r.keyLen)
	}
	for _, i := range block {
		_, values := rows.at(t, i)
		for _, v := range values {
			b = le.AppendUint64(b, math.Float64bits(v))
		}
	}
	for _, i := range block {
		r, _ := rows.at(t, i)
		b = append(b, rows.key(r)...)
	}
	w.buf = b
	return w.flush()
}

// flush writes buf and its checksum.
func (w *snapshotWriter) flush() error {
	w.crc = crc32.Update(w.crc, castagnoli, w.buf)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, w.crc)
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// ReadSnapshot returns a store of the rows that [MemoryStore.WriteSnapshot] wrote. It
// reads r to its end, in pieces of at most 1 MiB, or of one row or user ID that is longer,
// so that r needs no buffer.
//
// It checks every byte: an error that wraps ErrData says what is damaged. The checksums
// find what happens to a file by accident; whoever can write the file can make one of
// other rows. Its memory is that of the store, and grows with what was read. An error of
// r is wrapped.
func ReadSnapshot(r io.Reader) (*MemoryStore, error) {
	in := snapshotReader{r: r}
	names, err := in.header()
	if err != nil {
		return nil, err
	}
	s := &MemoryStore{names: names, seed: maphash.MakeSeed()}
	t, err := in.table(len(names), s.seed)
	if err != nil {
		return nil, err
	}
	s.table.Store(t)
	return s, nil
}

// ReplaceSnapshot replaces all rows at once, as Replace does, by those of a snapshot,
// which it reads as [ReadSnapshot] does. A snapshot of other features, or of these in
// another order, is an ErrFeatureMismatch. On error the old rows stay.
func (s *MemoryStore) ReplaceSnapshot(r io.Reader) error {
	in := snapshotReader{r: r}
	names, err := in.header()
	if err != nil {
		return err
	}
	if !slices.Equal(names, s.names) {
		return fmt.Errorf("basket: %w: the snapshot has the features %s: want %s", ErrFeatureMismatch, quoted(names), quoted(s.names))
	}
	t, err := in.table(len(names), s.seed)
	if err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.table.Store(t)
	return nil
}

// A snapshotReader reads the parts of a snapshot.
type snapshotReader struct {
	r      io.Reader
	offset int64
	crc    uint32

	users  uint64 // of the header
	newest record

	records, values []byte // memory of the next block
}

func (in *snapshotReader) fault(format string, args ...any) error {
	return fmt.Errorf("basket: %w: snapshot: byte %d: %s", ErrData, in.offset, fmt.Sprintf(format, args...))
}

// read reads len(p) bytes.
func (in *snapshotReader) read(p []byte) error {
	n, err := io.ReadFull(in.r, p)
	in.crc = crc32.Update(in.crc, castagnoli, p[:n])
	in.offset += int64(n)
	switch {
	case err == nil:
		return nil
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return in.fault("it ends here, and is cut off: write it again")
	}
	return fmt.Errorf("basket: reading a snapshot: byte %d: %w", in.offset, err)
}

// checksum reads a checksum and compares it.
func (in *snapshotReader) checksum() error {
	want := in.crc
	var b [4]byte
	if err := in.read(b[:]); err != nil {
		return err
	}
	in.crc = want
	if got := binary.LittleEndian.Uint32(b[:]); got != want {
		return in.fault("the bytes before have the checksum %#x: want %#x: the file is damaged, write it again", want, got)
	}
	return nil
}

// header reads the header and returns the names of the features.
func (in *snapshotReader) header() ([]string, error) {
	le := binary.LittleEndian
	var head [16]byte
	if err := in.read(head[:]); err != nil {
		return nil, err
	}
	if string(head[:8]) != snapshotMagic {
		return nil, in.fault("it begins with %.8q: want a snapshot, which begins with %q", head[:8], snapshotMagic)
	}
	if v := le.Uint32(head[8:]); v != snapshotVersion {
		return nil, in.fault("version %d: want %d: write it with this version of basket", v, snapshotVersion)
	}
	n := le.Uint32(head[12:])
	if n < 24 || n > maxHeader {
		return nil, in.fault("a header of %d bytes: want 24 to %d", n, maxHeader)
	}
	b := make([]byte, n)
	if err := in.read(b); err != nil {
		return nil, err
	}
	if err := in.checksum(); err != nil {
		return nil, err
	}
	in.users, in.newest = le.Uint64(b), record{sec: int64(le.Uint64(b[8:])), nsec: int32(le.Uint32(b[16:]))}
	features := le.Uint32(b[20:])
	b = b[24:]
	var names []string
	for range features {
		if len(b) < 4 || uint64(len(b)-4) < uint64(le.Uint32(b)) {
			return nil, in.fault("the header ends in the name of feature %d", len(names))
		}
		end := 4 + int(le.Uint32(b))
		names, b = append(names, string(b[4:end])), b[end:]
	}
	if len(b) > 0 {
		return nil, in.fault("the header has %d bytes after the names", len(b))
	}
	if name, ok := repeated(names); ok {
		return nil, in.fault("two features are named %.64q", name)
	}
	return names, nil
}

// table reads the blocks, and the end of the reader.
func (in *snapshotReader) table(width int, seed maphash.Seed) (*table, error) {
	t := newTable(width)
	for {
		rows, err := in.block(t)
		if err != nil {
			return nil, err
		}
		if rows == 0 {
			break
		}
	}
	switch _, err := io.ReadFull(in.r, make([]byte, 1)); err {
	case io.EOF:
	case nil:
		return nil, in.fault("bytes follow the last block")
	default:
		return nil, fmt.Errorf("basket: reading a snapshot: byte %d: %w", in.offset, err)
	}
	if uint64(t.next) != in.users {
		return nil, in.fault("it has %d rows, and its header says %d", t.next, in.users)
	}
	if t.newest.sec != in.newest.sec || t.newest.nsec != in.newest.nsec {
		return nil, in.fault("the latest event time is %v, and its header says %v", t.newest.time(), in.newest.time())
	}
	t.trim()
	return t, in.index(t, seed)
}

// block adds the rows of the next block, and returns how many they are. Their users have
// no slots yet.
func (in *snapshotReader) block(t *table) (int, error) {
	le := binary.LittleEndian
	var head [8]byte
	if err := in.read(head[:]); err != nil {
		return 0, err
	}
	n, keyBytes := int(le.Uint32(head[:])), int64(le.Uint32(head[4:]))
	switch {
	case n == 0 && keyBytes == 0:
		return 0, in.checksum()
	case le.Uint32(head[:]) > 1<<t.shift, n == 0, n > 1 && keyBytes > maxKeys, keyBytes > math.MaxInt32:
		return 0, in.fault("a block of %d rows and %d bytes of user IDs: want at most %d rows and %d bytes", le.Uint32(head[:]), keyBytes, 1<<t.shift, maxKeys)
	}
	in.records = slices.Grow(in.records[:0], n*snapshotRecord)[:n*snapshotRecord]
	in.values = slices.Grow(in.values[:0], 8*n*t.width)[:8*n*t.width]
	if err := in.read(in.records); err != nil {
		return 0, err
	}
	if err := in.read(in.values); err != nil {
		return 0, err
	}
	keys, err := in.keys(int(keyBytes))
	if err != nil {
		return 0, err
	}
	if err := in.checksum(); err != nil {
		return 0, err
	}
	return n, in.add(t, n, keys)
}

// keys reads n bytes, without trust in n.
func (in *snapshotReader) keys(n int) ([]byte, error) {
	keys := make([]byte, 0, min(n, maxKeys))
	for len(keys) < n {
		start := len(keys)
		keys = slices.Grow(keys, min(n-start, maxKeys))
		keys = keys[:min(n, cap(keys))]
		if err := in.read(keys[start:]); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// add adds the n rows in the memory of the last block.
func (in *snapshotReader) add(t *table, n int, keys []byte) error {
	le := binary.LittleEndian
	c := *t.rows.Load()
	c.keys = append(c.keys, keys)
	t.rows.Store(&c)
	chunk, start := uint32(len(c.keys)-1), uint64(0)
	values := make([]float64, t.width)
	for i := range n {
		b := in.records[i*snapshotRecord:][:snapshotRecord]
		r := record{
			sec: int64(le.Uint64(b)), number: int64(le.Uint64(b[8:])), chunk: chunk, start: uint32(start),
			keyLen: int32(le.Uint32(b[24:])), nsec: int32(le.Uint32(b[28:])),
		}
		switch {
		case le.Uint64(b[16:]) != start, uint64(le.Uint32(b[24:])) > uint64(len(keys))-start:
			return in.fault("row %d of the block before: a user ID of %d bytes at byte %d of %d: want it at byte %d", i, le.Uint32(b[24:]), le.Uint64(b[16:]), len(keys), start)
		case le.Uint32(b[28:]) > 999_999_999:
			return in.fault("row %d of the block before: %d nanoseconds: want less than a second", i, le.Uint32(b[28:]))
		case int64(int(r.number)) != r.number:
			return in.fault("row %d of the block before: number %d: want at most %d on this machine", i, r.number, math.MaxInt)
		}
		for j := range values {
			values[j] = math.Float64frombits(le.Uint64(in.values[8*(i*t.width+j):]))
		}
		t.add(r, values)
		start += uint64(r.keyLen)
	}
	if start != uint64(len(keys)) {
		return in.fault("the block before has %d bytes of user IDs, and its rows have %d", len(keys), start)
	}
	t.nextKey = len(keys)
	return nil
}

// index makes the slots of t, whose records are all of different users.
func (in *snapshotReader) index(t *table, seed maphash.Seed) error {
	t.users = t.next
	t.slots = make([]uint64, slotsOf(t.users))
	c := t.rows.Load()
	for i := range t.next {
		r, _ := c.at(t, i)
		key := c.key(r)
		hash := maphash.Bytes(seed, key)
		p, s := t.slot(hash, unsafe.String(unsafe.SliceData(key), len(key)))
		if s != 0 {
			return in.fault("rows %d and %d are of one user", uint32(s)-1, i)
		}
		*p = hash&^math.MaxUint32 | uint64(i+1)
	}
	return nil
}
