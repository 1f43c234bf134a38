package lz4

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/golden"
)

// want returns the decompressed content of the files.
func want() []byte {
	var b []byte
	for i := range 40 {
		b = fmt.Appendf(b, "order %d: %d items at %d.50\n", i, i*7%5, i*i%31)
	}
	return b
}

// files are the output of Python's lz4 4.4 for want.
var files = []struct {
	name, base64 string
}{
	{
		"plain", "BCJNGGhAGQQAAAAAAABBQQEAAPIKb3JkZXIgMDogMCBpdGVtcyBhdCAwLjUwChkARjE6IDIZABYxGQBGMjogNBkAFjQZAEYzOiAxGQAWORkARjQ6IDMZACYxNhoAGTV+ACYyNRoAGTZ/" +
			"AAcZABk3fwAmMTgzABk4gAAWMhkAGjmAAAeaABox/wAWNzQAGjEAARcyaAAaMQIBGDI1AQoEARcxHgEbMQYBCDYACgcBCGsACgcBCBoACwgBCE8ACgkBCYUACgsBCLsAGjILAQjxABoy" +
			"DAEHJgEaMgsBCFsBGjILAQePARsyCgEH1gAaMgoBB/cBGjIKAQgrAhsyCwEHYAIaMgsBCJ8ACgoBB6kBGjMJAQf6AhozCAEHcwEbMwgBBkgCGjMHAQhoAAoHAQecABozBgEIMQMfMwcB" +
			"BxozBwEHPAEaMwYBCDQDGjMHAVAyLjUwCgAAAAA=",
	},
	{
		"checksums", "BCJNGHxAGQQAAAAAAAAPOQEAAPIKb3JkZXIgMDogMCBpdGVtcyBhdCAwLjUwChkARjE6IDIZABYxGQBGMjogNBkAFjQZAEYzOiAxGQAWORkARzQ6IDNLABY2GgAZNX4AJjI1GgAZNn8A" +
			"BxkAGTd/ACYxOBoAGTiAABYyGQAaOYAAB5oAGjH/ABc3GgAKAAEXMmgAGjECARgyNQEKBAEXMR4BGzEGAQg2AAoHAQhrAAoHAQgaAAsIAQhPAB84hQAHCgsBCLsAGjILAQjxABoyDAEH" +
			"JgEaMgsBCFsBLzIzjwEFGzIKAQhqAAoKAQf3ARoyCgEIKwIbMgsBB2ACLzI4lAIFGjIKAQjHAgoJAQf6AhozCAEHLQMbMwgBBzQACgcBCGgACgcBB5wAGjMGAQjRAB8zBwEHGjMHAQga" +
			"AAsRAgdxARozBwFQMi41MApfeFcfAAAAAM5N2uw=",
	},
}

func TestDecode(t *testing.T) {
	want := want()
	for _, f := range files {
		data, err := base64.StdEncoding.DecodeString(f.base64)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v", f.name, got, err)
		}
		if _, err := Decode(data, len(want)-1); err == nil || !strings.Contains(err.Error(), "output limit") {
			t.Errorf("%s: above the limit: %v", f.name, err)
		}
		if _, err := Decode(append(bytes.Clone(data), 0), len(want)); err == nil {
			t.Errorf("%s: no error for an extra byte", f.name)
		}
		for n := range data {
			if _, err := Decode(data[:n], len(want)); err == nil {
				t.Errorf("%s: no error for its first %d bytes", f.name, n)
			}
		}
		for i := range 8 * len(data) {
			data[i/8] ^= 1 << (i % 8)
			got, err := Decode(data, 2*len(want))
			if err != nil {
				golden.CheckError(t, err)
			}
			if err == nil && f.name == "checksums" && !bytes.Equal(got, want) {
				t.Errorf("%s: bit %d: no error", f.name, i)
			}
			data[i/8] ^= 1 << (i % 8)
		}
	}
}

// TestDecode_stored decodes a block that is not compressed.
func TestDecode_stored(t *testing.T) {
	data, err := base64.StdEncoding.DecodeString("BCJNGGhAKAAAAAAAAAB1KAAAgAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data, 40)
	if err != nil || len(got) != 40 || got[39] != 39 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestChecksum(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0x02cc5d05, "a": 0x550d7456, "Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		if got := checksum([]byte(text)); got != want {
			t.Errorf("checksum(%q) = %#x, want %#x", text, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, file := range files {
		data, _ := base64.StdEncoding.DecodeString(file.base64)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		got, err := Decode(data, limit)
		if len(got) > limit || err == nil && len(data) == 0 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err != nil {
			golden.CheckError(t, err)
		}
	})
}
