package scan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// compress returns what a streaming writer makes of data. Its zstd frame has no
// frame size.
func compress(t testing.TB, codec format.CompressionCodec, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case format.Zstd:
		z, err := zstd.NewWriter(&b, append(options, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case format.Gzip:
		w = gzip.NewWriter(&b)
	case format.Brotli:
		w = brotli.NewWriterLevel(&b, 1)
	}
	for part := range slices.Chunk(data, 1<<16) {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hostilePage returns a page that decompresses to 128 MiB: some 70 KB of zstd,
// 130 KB of gzip, which cannot do better, or less of Brotli.
func hostilePage(t testing.TB, codec format.CompressionCodec) []byte {
	const part = 4 << 20
	switch codec {
	case format.Zstd:
		r := rand.New(rand.NewPCG(1, 2))
		b := make([]byte, maxPage)
		for i := 0; i < len(b); i += 1 << 14 {
			b[i+r.IntN(1<<14)] = byte(r.IntN(256))
		}
		return compress(t, codec, b)
	case format.Gzip: // as members, because compression takes long
		return bytes.Repeat(compress(t, codec, make([]byte, part)), maxPage/part)
	}
	return compress(t, codec, make([]byte, maxPage))
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A page of some 64 KB that decompresses to 128 MiB allocates less than 64 MiB,
// whatever size its header claims.
func TestDecompress_hostilePage(t *testing.T) {
	for _, codec := range []format.CompressionCodec{format.Zstd, format.Gzip, format.Brotli} {
		src := hostilePage(t, codec)
		var head zstd.Header
		if codec == format.Zstd && (head.Decode(src) != nil || head.HasFCS) {
			t.Fatal("the zstd frame has a frame size")
		}
		for _, size := range []int{maxPage, 64 << 20, 32 << 20, maxInflated, 1 << 20, 1} {
			t.Run(fmt.Sprintf("%v/size=%d", codec, size), func(t *testing.T) {
				var d decompressor
				var err error
				n := allocated(func() { _, err = d.decompress(nil, src, codec, size) })
				if err == nil {
					t.Error("no error")
				}
				if n > 64<<20 {
					t.Errorf("%d bytes allocated for a page of %d bytes: want less than 64 MiB", n, len(src))
				}
				t.Logf("%d bytes allocated for a page of %d bytes: %v", n, len(src), err)
			})
		}
	}
}

// Writers may compress equal values very well, in pages of up to some 20 MB.
func TestDecompress_wellCompressed(t *testing.T) {
	zeros := make([]byte, maxInflated)
	names := bytes.Repeat([]byte("\x08\x00\x00\x00shop-one"), 200_000)
	large := make([]byte, maxInflated+1)
	for i := 0; i < len(large); i += 64 {
		large[i] = byte(uint32(i>>6) * 2654435761 >> 24) // a ratio of less than 256
	}
	for name, data := range map[string][]byte{"zeros": zeros, "names": names, "empty": nil, "large": large} {
		for _, codec := range []format.CompressionCodec{format.Zstd, format.Gzip, format.Brotli} {
			t.Run(fmt.Sprintf("%s/%v", name, codec), func(t *testing.T) {
				src := compress(t, codec, data)
				var d decompressor
				for range 2 { // the second time with the state of the first
					got, err := d.decompress(nil, src, codec, len(data))
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("%d bytes, error %v: want the data, %d bytes from %d", len(got), err, len(data), len(src))
					}
				}
			})
		}
	}
}

func TestDecompress_zstdFrames(t *testing.T) {
	data := bytes.Repeat([]byte("basket "), 400_000)
	half := len(data) / 2
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	sized := encoder.EncodeAll(data, nil)
	skippable := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x184d2a50), 3)
	skippable = append(skippable, "abc"...)
	windowed := compress(t, format.Zstd, data, zstd.WithWindowSize(128<<20), zstd.WithEncoderLevel(zstd.SpeedFastest))
	beyond := slices.Clone(windowed)
	beyond[5] = 21 << 3 // the window descriptor: 2 GiB
	damaged := compress(t, format.Zstd, data)
	damaged[len(damaged)-1] ^= 1
	tests := map[string]struct {
		src []byte
		err string // or the data
	}{
		"sized":     {src: sized},
		"unsized":   {src: compress(t, format.Zstd, data)},
		"windowed":  {src: windowed},
		"two":       {src: append(compress(t, format.Zstd, data[:half]), compress(t, format.Zstd, data[half:])...)},
		"two-sized": {src: append(encoder.EncodeAll(data[:half], nil), encoder.EncodeAll(data[half:], nil)...)},
		"skippable": {src: append(skippable, sized...)},
		"beyond":    {src: beyond, err: "window size exceeded"},
		"checksum":  {src: damaged, err: "CRC"},
		"cut":       {src: sized[:len(sized)-9], err: "EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var head zstd.Header
			if err := head.Decode(windowed); err != nil || head.WindowSize != 128<<20 {
				t.Fatalf("window of %d bytes, error %v", head.WindowSize, err)
			}
			var d decompressor
			var got []byte
			var err error
			n := allocated(func() { got, err = d.decompress(nil, test.src, format.Zstd, len(data)) })
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v: want one with %q", err, test.err)
				}
			} else if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, error %v: want the data", len(got), err)
			}
			if n > 16<<20 {
				t.Errorf("%d bytes allocated for %d", n, len(data))
			}
		})
	}
}
