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

// An input is the bytes of a pickle: a slice, or the output of a decompressor.
type input struct {
	data   []byte        // the rest of the slice; unused if stream is not nil
	stream *bufio.Reader // the decompressor's output
	offset int
	left   int    // bytes that may still be read
	format string // of the compression; "" if there is none

	allocated int // bytes of memory that decompression took
	scratch   [16]byte
}

// compression returns the name of the compression that data starts with, or "".
// See joblib 1.6.0, joblib/compressor.py.
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
	// zlib: deflate with a window of 32 KB, and the check bits of the two bytes.
	if len(data) > 1 && data[0] == 0x78 && (int(data[0])<<8|int(data[1]))%31 == 0 {
		return "zlib"
	}
	return ""
}

func hasPrefix(data []byte, magic string) bool {
	return len(data) >= len(magic) && string(data[:len(magic)]) == magic
}

// open detects the compression and prepares decompression.
func open(data []byte) (*input, error) {
	in := &input{format: compression(data)}
	compressed := bytes.NewReader(data)
	var stream io.Reader
	var err error
	switch in.format {
	case "":
		in.data, in.left = data, len(data)
		return in, nil
	case "zlib":
		stream, err = zlib.NewReader(compressed)
	case "gzip":
		stream, err = gzip.NewReader(compressed)
	case "bz2":
		stream = bzip2.NewReader(compressed)
	case "xz":
		in.data, err = lzma.DecodeXZ(data, maxOutput(len(data)))
	case "lzma":
		// The size may not be in the header. Then the output grows by doubling,
		// which takes twice the memory.
		in.data, err = lzma.Decode(data, maxOutput(len(data))/2)
		in.allocated = len(in.data)
	case "lz4":
		in.data, err = lz4.Decode(data, maxOutput(len(data)))
	default:
		return nil, fmt.Errorf("%s is not supported: save the model with a newer joblib", in.format)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.format, err)
	}
	if stream == nil {
		in.left = len(in.data)
		in.allocated += len(in.data)
		return in, nil
	}
	in.left = maxOutput(len(data))
	in.stream = bufio.NewReader(stream)
	return in, nil
}

// byte reads a byte.
func (in *input) byte() (byte, error) {
	b, err := in.short(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// short reads n bytes, at most 16, which are valid until the next call.
func (in *input) short(n int) ([]byte, error) {
	if in.stream == nil {
		return in.next(n)
	}
	b := in.scratch[:n]
	return b, in.fill(b)
}

// next reads n bytes, which the caller may keep but not change.
func (in *input) next(n int) ([]byte, error) {
	if n > in.left {
		return nil, in.tooFew(uint64(n))
	}
	if in.stream == nil {
		b := in.data[:n:n]
		in.data = in.data[n:]
		in.offset += n
		in.left -= n
		return b, nil
	}
	b := make([]byte, n)
	return b, in.fill(b)
}

func (in *input) fill(b []byte) error {
	if len(b) > in.left {
		return in.tooFew(uint64(len(b)))
	}
	n, err := io.ReadFull(in.stream, b)
	in.offset += n
	in.left -= n
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends in the middle of the pickle")
	}
	return fmt.Errorf("%s: %w", in.format, err)
}

// tooFew returns the error for n bytes that are more than left.
func (in *input) tooFew(n uint64) error {
	if in.stream == nil {
		return fmt.Errorf("want %d bytes: %d are left; the file is truncated or damaged", n, in.left)
	}
	return fmt.Errorf("want %d bytes after %d: the output limit for a file of this size is %d", n, in.offset, in.offset+in.left)
}

// end checks that the input ends. For a compressed file this includes its checksum.
func (in *input) end() error {
	if in.stream == nil {
		if in.left > 0 {
			return fmt.Errorf("%d bytes after the end of the pickle", in.left)
		}
		return nil
	}
	switch _, err := in.stream.ReadByte(); {
	case err == nil:
		return errors.New("bytes after the end of the pickle")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", in.format, err)
	}
	return nil
}
