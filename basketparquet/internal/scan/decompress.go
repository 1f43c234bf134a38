package scan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// The libraries are called directly rather than through parquet-go's compress
// packages, which take no limit: its LZ4 decoder (v0.32.0, compress/lz4)
// doubles its buffer until a damaged page fits, which is never.

// A decompressor keeps the state of the libraries between pages.
type decompressor struct {
	src    bytes.Reader
	gzip   *gzip.Reader
	brotli *brotli.Reader
	zstd   *zstd.Decoder
}

// decompress returns the size bytes that src holds, in dst if there is room.
func (d *decompressor) decompress(dst, src []byte, codec format.CompressionCodec, size int) ([]byte, error) {
	if len(src) == 0 && size == 0 {
		return dst[:0], nil
	}
	var err error
	switch codec {
	case format.Snappy:
		dst, err = unsnap(dst, src, size)
	case format.Lz4Raw:
		dst, err = unlz4(dst, src, size)
	case format.Lz4:
		dst, err = unhadoop(dst, src, size)
	case format.Zstd:
		dst, err = d.unzstd(dst, src, size)
	case format.Gzip:
		d.src.Reset(src)
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		if err = d.gzip.Reset(&d.src); err == nil {
			dst, err = readSize(dst, d.gzip, size, len(src))
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
		return nil, fmt.Errorf("compression %v is not supported; want UNCOMPRESSED, SNAPPY, GZIP, BROTLI, ZSTD, LZ4 or LZ4_RAW", codec)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", codec, err)
	}
	if len(dst) != size {
		return nil, fmt.Errorf("%v: %d bytes; want %d", codec, len(dst), size)
	}
	return dst, nil
}

// room returns a slice of n bytes, unless no compression with that limit on its
// ratio makes n bytes of src.
func room(dst, src []byte, n, ratio int) ([]byte, error) {
	if n/ratio > len(src) {
		return nil, fmt.Errorf("%d bytes cannot hold %d", len(src), n)
	}
	if cap(dst) < n {
		return make([]byte, n), nil
	}
	return dst[:n], nil
}

func unsnap(dst, src []byte, size int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, fmt.Errorf("%d bytes; want %d", n, size)
	}
	if dst, err = room(dst, src, n, 64); err != nil {
		return nil, err
	}
	if hasRepeat(src) {
		return nil, snappy.ErrCorrupt
	}
	return snappy.Decode(dst, src)
}

// hasRepeat finds a copy of offset zero. It is corrupt in Snappy, but S2, whose
// decoder the library shares, repeats the offset before (klauspost/compress
// v1.17.9, s2/decode_other.go), so that a damaged page would read as a good one.
func hasRepeat(src []byte) bool {
	_, n := binary.Uvarint(src)
	for i := n; i < len(src); {
		switch tag := src[i]; tag & 3 {
		case 0:
			size := int(tag >> 2)
			i++
			if size >= 60 {
				extra := size - 59
				if i+extra > len(src) {
					return false // the decoder tells
				}
				size = 0
				for j := extra - 1; j >= 0; j-- {
					size = size<<8 | int(src[i+j])
				}
				i += extra
			}
			i += size + 1
		case 1:
			if i+1 < len(src) && tag>>5 == 0 && src[i+1] == 0 {
				return true
			}
			i += 2
		case 2:
			i += 3
		case 3:
			i += 5
		}
		if i < 0 {
			return false
		}
	}
	return false
}

func unlz4(dst, src []byte, size int) ([]byte, error) {
	dst, err := room(dst, src, size, 256)
	if err != nil {
		return nil, err
	}
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return nil, err
	}
	return dst[:n], nil
}

// unhadoop reads the older LZ4: blocks, each after its two sizes, the highest
// byte first. As in Arrow (cpp/src/arrow/util/compression_lz4.cc,
// Lz4HadoopCodec), what does not look so is one bare block.
func unhadoop(dst, src []byte, size int) ([]byte, error) {
	whole, err := room(dst, src, size, 256)
	if err != nil {
		return nil, err
	}
	out := 0
	for in := src; ; {
		if len(in) == 0 && out == size {
			return whole, nil
		}
		if len(in) < 8 {
			break
		}
		n, packed := binary.BigEndian.Uint32(in), binary.BigEndian.Uint32(in[4:])
		in = in[8:]
		if uint64(n) > uint64(size-out) || uint64(packed) > uint64(len(in)) {
			break
		}
		got, err := lz4.UncompressBlock(in[:packed], whole[out:out+int(n)])
		if err != nil || got != int(n) {
			break
		}
		in = in[packed:]
		out += got
	}
	return unlz4(whole, src, size)
}

func (d *decompressor) unzstd(dst, src []byte, size int) ([]byte, error) {
	var head zstd.Header
	if err := head.Decode(src); err != nil {
		return nil, err
	}
	if head.HasFCS && head.FrameContentSize > uint64(size) {
		return nil, fmt.Errorf("%d bytes; want %d", head.FrameContentSize, size)
	}
	if d.zstd == nil {
		var err error
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPage))
		if err != nil {
			return nil, err
		}
	}
	// DecodeAll grows dst as it goes if there is no frame size to trust.
	if cap(dst) < size && size <= 1<<20+64*len(src) {
		dst = make([]byte, 0, size)
	}
	return d.zstd.DecodeAll(src, dst[:0])
}

// readSize reads to the end of r, at most size bytes, and takes memory as they come.
func readSize(dst []byte, r io.Reader, size, packed int) ([]byte, error) {
	dst = dst[:0]
	if cap(dst) < size {
		dst = make([]byte, 0, min(size, 1<<16+16*packed))
	}
	for {
		if len(dst) == size {
			// Only now are the checksums behind the data read.
			var one [1]byte
			n, err := io.ReadFull(r, one[:])
			if n > 0 {
				return nil, fmt.Errorf("over %d bytes", size)
			}
			if err != io.EOF {
				return nil, err
			}
			return dst, nil
		}
		if len(dst) == cap(dst) {
			bigger := make([]byte, len(dst), min(size, 2*len(dst)))
			copy(bigger, dst)
			dst = bigger
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
}

// close frees what the libraries keep.
func (d *decompressor) close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}
