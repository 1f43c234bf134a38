package scan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// The libraries are called directly, because parquet-go's compress packages have
// no limit: its LZ4 decoder (v0.32.0, compress/lz4) doubles its buffer until a
// damaged page fits, which never happens.

// A page of over maxInflated bytes is at most maxRatio times as large as its
// compressed bytes. Writers end pages at about 1 MB, few at up to 20 MB. A larger
// page compresses that well only if nearly all of its values are equal.
const (
	maxInflated = 20 << 20
	maxRatio    = 256
)

// A decompressor holds the state of the libraries between pages.
type decompressor struct {
	src    bytes.Reader
	gzip   gzip.Reader
	brotli *brotli.Reader
	zstd   *zstd.Decoder
}

// decompress returns the size bytes that src decompresses to. It uses the memory
// of dst if that suffices.
func (d *decompressor) decompress(dst, src []byte, codec format.CompressionCodec, size int) ([]byte, error) {
	if len(src) == 0 && size == 0 {
		return dst[:0], nil
	}
	if size > maxInflated && size/maxRatio > len(src) {
		return nil, fmt.Errorf("%v: a page of %d bytes in %d compressed bytes: want at most %d bytes or %d times as many", codec, size, len(src), maxInflated, maxRatio)
	}
	var err error
	switch codec {
	case format.Snappy:
		dst, err = decodeSnappy(dst, src, size)
	case format.Lz4Raw:
		dst, err = decodeLZ4(dst, src, size)
	case format.Lz4:
		dst, err = decodeHadoopLZ4(dst, src, size)
	case format.Zstd:
		dst, err = d.decodeZstd(dst, src, size)
	case format.Gzip:
		d.src.Reset(src)
		if err = d.gzip.Reset(&d.src); err == nil {
			dst, err = readSize(dst, &d.gzip, size, len(src))
		}
	case format.Brotli:
		d.src.Reset(src)
		if d.brotli == nil {
			d.brotli = brotli.NewReader(nil)
		}
		if err = d.brotli.Reset(&d.src); err == nil {
			dst, err = readSize(dst, d.brotli, size, len(src))
		}
	default:
		return nil, fmt.Errorf("compression %v is not supported: want UNCOMPRESSED, SNAPPY, GZIP, BROTLI, ZSTD, LZ4 or LZ4_RAW", codec)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", codec, err)
	}
	if len(dst) != size {
		return nil, fmt.Errorf("%v: %d bytes: want %d", codec, len(dst), size)
	}
	return dst, nil
}

// resize returns a slice of n bytes, or an error if n is more than ratio times
// the size of src, which the compression cannot reach.
func resize(dst, src []byte, n, ratio int) ([]byte, error) {
	if n/ratio > len(src) {
		return nil, fmt.Errorf("%d bytes cannot decompress to %d", len(src), n)
	}
	if cap(dst) < n {
		return make([]byte, n), nil
	}
	return dst[:n], nil
}

func decodeSnappy(dst, src []byte, size int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, fmt.Errorf("%d bytes: want %d", n, size)
	}
	if dst, err = resize(dst, src, n, 64); err != nil {
		return nil, err
	}
	return snappy.Decode(dst, src)
}

func decodeLZ4(dst, src []byte, size int) ([]byte, error) {
	dst, err := resize(dst, src, size, 256)
	if err != nil {
		return nil, err
	}
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return nil, err
	}
	return dst[:n], nil
}

// decodeHadoopLZ4 decodes the older LZ4: blocks, each after its two sizes in
// big-endian order. Bytes of another form are one block without sizes, as in
// Arrow (cpp/src/arrow/util/compression_lz4.cc, Lz4HadoopCodec).
func decodeHadoopLZ4(dst, src []byte, size int) ([]byte, error) {
	dst, err := resize(dst, src, size, 256)
	if err != nil {
		return nil, err
	}
	decoded := 0
	for in := src; ; {
		if len(in) == 0 && decoded == size {
			return dst, nil
		}
		if len(in) < 8 {
			break
		}
		n, compressed := binary.BigEndian.Uint32(in), binary.BigEndian.Uint32(in[4:])
		in = in[8:]
		if uint64(n) > uint64(size-decoded) || uint64(compressed) > uint64(len(in)) {
			break
		}
		got, err := lz4.UncompressBlock(in[:compressed], dst[decoded:decoded+int(n)])
		if err != nil || got != int(n) {
			break
		}
		in = in[compressed:]
		decoded += got
	}
	return decodeLZ4(dst, src, size)
}

// initialSize returns how many bytes to allocate for a page before any of them
// has been decompressed.
func initialSize(size, compressed int) int { return min(size, 2<<20+16*min(compressed, size/16)) }

// decodeZstd uses DecodeAll, which allocates no window, whatever its size in the
// frame. It stops at the capacity of its destination.
func (d *decompressor) decodeZstd(dst, src []byte, size int) (_ []byte, err error) {
	if d.zstd == nil {
		// With a concurrency of 1 it starts no goroutine, and needs no Close.
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxPage), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
	}
	for n := max(initialSize(size, len(src)), min(size, cap(dst))); ; n = size {
		if cap(dst) < n {
			dst = make([]byte, n)
		}
		b, err := d.zstd.DecodeAll(src, dst[:0:n])
		if err == nil || n == size {
			return b, err
		}
	}
}

// readSize reads to the end of r, at most size bytes.
func readSize(dst []byte, r io.Reader, size, compressed int) ([]byte, error) {
	dst = dst[:0]
	if cap(dst) < size {
		dst = make([]byte, 0, initialSize(size, compressed))
	}
	for len(dst) < size {
		if len(dst) == cap(dst) {
			dst = append(make([]byte, 0, size), dst...)
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), size)])
		dst = dst[:len(dst)+n]
		if err != nil && len(dst) < size {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	// The checksums after the data are read only at the end.
	var next [1]byte
	if n, err := io.ReadFull(r, next[:]); n > 0 {
		return nil, fmt.Errorf("over %d bytes: want at most that", size)
	} else if err != io.EOF {
		return nil, err
	}
	return dst, nil
}
