package pickle

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/basket-go/basket/internal/lz4"
	"github.com/basket-go/basket/internal/lzma"
)

// A source gives the bytes of a pickle one after the other: those of a slice, or
// what comes out of a decompressor.
type source struct {
	data []byte        // if r is nil, what is left of the slice
	r    *bufio.Reader // if not nil, the decompressor
	at   int           // bytes given so far
	left int           // bytes that may still come
	name string        // of the compression

	taken int // bytes of memory that were needed before the first was given
	few   [16]byte
}

// compression names the compression that data begins with; "" is none that is
// known. See joblib 1.6.0, joblib/compressor.py.
func compression(data []byte) string {
	for _, c := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"},
		{"BZh", "bz2"},
		{"\xfd7zXZ\x00", "xz"},
		{"\x5d\x00\x00", "lzma"},
		{"\x04\x22\x4d\x18", "lz4"},
		{"ZF", "joblib's own compression of before 0.10"},
	} {
		if hasPrefix(data, c.magic) {
			return c.name
		}
	}
	// zlib: deflate with a window of 32 KB, and a check of the two bytes.
	if len(data) > 1 && data[0] == 0x78 && (int(data[0])<<8|int(data[1]))%31 == 0 {
		return "zlib"
	}
	return ""
}

func hasPrefix(data []byte, magic string) bool {
	return len(data) >= len(magic) && string(data[:len(magic)]) == magic
}

// open looks at the first bytes of data.
func open(data []byte) (*source, error) {
	s := &source{name: compression(data)}
	in := bytes.NewReader(data)
	var out io.Reader
	var err error
	switch s.name {
	case "":
		s.data, s.left = data, len(data)
		return s, nil
	case "zlib":
		out, err = zlib.NewReader(in)
	case "gzip":
		out, err = gzip.NewReader(in)
	case "bz2":
		out = bzip2.NewReader(in)
	case "xz":
		s.data, err = lzma.DecodeXZ(data, output(len(data)))
	case "lzma":
		// Only its end tells how much it is, so that room for it is made in steps.
		s.data, err = lzma.Decode(data, output(len(data))/2)
		s.taken = len(s.data)
	case "lz4":
		s.data, err = lz4.Decode(data, output(len(data)))
	default:
		return nil, fmt.Errorf("%s is not read: save the model with a newer joblib", s.name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if out == nil {
		s.left = len(s.data)
		s.taken += len(s.data)
		return s, nil
	}
	s.left = output(len(data))
	s.r = bufio.NewReader(out)
	return s, nil
}

// byte gives the next byte.
func (s *source) byte() (byte, error) {
	b, err := s.short(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// short gives the next n bytes, at most 16, which are good until the next call.
func (s *source) short(n int) ([]byte, error) {
	if s.r == nil {
		return s.take(n)
	}
	b := s.few[:n]
	return b, s.fill(b)
}

// take gives the next n bytes, which the caller may keep but not change.
func (s *source) take(n int) ([]byte, error) {
	if n > s.left {
		return nil, s.over(uint64(n))
	}
	if s.r == nil {
		b := s.data[:n:n]
		s.data = s.data[n:]
		s.at += n
		s.left -= n
		return b, nil
	}
	b := make([]byte, n)
	return b, s.fill(b)
}

func (s *source) fill(b []byte) error {
	if len(b) > s.left {
		return s.over(uint64(len(b)))
	}
	n, err := io.ReadFull(s.r, b)
	s.at += n
	s.left -= n
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the file ends in the middle of the pickle")
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// over tells why n bytes are not to be had.
func (s *source) over(n uint64) error {
	if s.r == nil {
		return fmt.Errorf("wants %d bytes, %d are left: the file is cut off or damaged", n, s.left)
	}
	return fmt.Errorf("wants %d bytes after %d: more than %d come out of so small a file only by design", n, s.at, s.at+s.left)
}

// end makes sure that nothing follows; of a compressed file that includes its
// checksum.
func (s *source) end() error {
	if s.r == nil {
		if s.left > 0 {
			return fmt.Errorf("%d bytes after the end of the pickle", s.left)
		}
		return nil
	}
	switch _, err := s.r.ReadByte(); {
	case err == nil:
		return errors.New("bytes after the end of the pickle")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}
