package lzma

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

// files are the output of Python 3.11's lzma (liblzma 5.4) for want.
var files = []struct {
	name, base64 string
}{
	{
		"xz crc64", "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AQYAMJdADeciKvcoLsVOvzRV9WYzPOxm8GI/KKzf8OOQSPf9aRzGw/MQQP7RzqlJpKDMZnkIXsPD0FMi3INa4+0vNcv3wUOzVxszUg0McLO" +
			"4sJc/x8E323v+SmjaHlelgE8WBIK0JJrP1LHaNcgZjRGMOr97tk550DmVydX7B4QCaHOTYu1+HqgL7qWvWOy1JHDUzIPzKLCbok2IDFCDGF6oKXz/0kLxaHE8lZlj6iUmneN0T5N5sF3" +
			"tqv2BazzPHzpISUOFV6gAAAARhzpJ1Brv8kAAd4BmQgAAKR/WhixxGf7AgAAAAAEWVo=",
	},
	{
		"xz sha256, other bits", "/Td6WFoAAArh+wyhAgAhAQAAAAA3J5fW4AQYAMw/ADeciOq6tmjZa4Q45emReYvr7GwK6K8/nxDvWEU6PauBwrbH6pmjdZwZS9rju0hWgClBWNW07m3F2wv5uymTMVcrulXeaGBQw3zi" +
			"e4EzpxTFuaJriL4/OSNi5KmYJBEqB8gw5mf6Yqp2OxoIMxNf/ch+YvYr6btg9XQuHtV66acnUVPp054lghFQA0Q4rsBD9OeqeW58aGQV7+1jlbHlrR4rZZlz3cpSW0gOk2dfInwG9eH3" +
			"kvUdQCTQGnE8o8cVqcI2ep9aeLFEvxeYyQB0zb6rbt+CzAVGKDVAy4JQx5/DqZLsu9M6ouJMbnmeqAABgAKZCAAA82x+abbp3xwCAAAAAApZWg==",
	},
	{
		"xz crc32", "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AQYAMJdADeciKvcoLsVOvzRV9WYzPOxm8GI/KKzf8OOQSPf9aRzGw/MQQP7RzqlJpKDMZnkIXsPD0FMi3INa4+0vNcv3wUOzVxszUg0McLO" +
			"4sJc/x8E323v+SmjaHlelgE8WBIK0JJrP1LHaNcgZjRGMOr97tk550DmVydX7B4QCaHOTYu1+HqgL7qWvWOy1JHDUzIPzKLCbok2IDFCDGF6oKXz/0kLxaHE8lZlj6iUmneN0T5N5sF3" +
			"tqv2BazzPHzpISUOFV6gAAAA3sUrEAAB2gGZCAAAsj3Lgz4wDYsCAAAAAAFZWg==",
	},
	{
		"lzma end marker", "XQAAgAD//////////wA3nIir3KC7FTr80VfVmMzzsZvBiPyis3/DjkEj3/WkcxsPzEED+0c6pSaSgzGZ5CF7Dw9BTItyDWuPtLzXL98FDs1cbM1INDHCzuLCXP8fBN9t7/kpo2h5XpYB" +
			"PFgSCtCSaz9Sx2jXIGY0RjDq/e7ZOedA5lcnV+weEAmhzk2Ltfh6oC+6lr1jstSRw1MyD8yiwm6JNiAxQgxheqCl8/9JC8WhxPJWZY+olJp3jdE+TebBd7ar9gWs8zx86SElEY8BH///" +
			"SvTxAA==",
	},
	{
		"lzma size and end marker", "XQAAgAAZBAAAAAAAAAA3nIir3KC7FTr80VfVmMzzsZvBiPyis3/DjkEj3/WkcxsPzEED+0c6pSaSgzGZ5CF7Dw9BTItyDWuPtLzXL98FDs1cbM1INDHCzuLCXP8fBN9t7/kpo2h5XpYB" +
			"PFgSCtCSaz9Sx2jXIGY0RjDq/e7ZOedA5lcnV+weEAmhzk2Ltfh6oC+6lr1jstSRw1MyD8yiwm6JNiAxQgxheqCl8/9JC8WhxPJWZY+olJp3jdE+TebBd7ar9gWs8zx86SElEY8BH///" +
			"SvTxAA==",
	},
}

func decode(name string, data []byte, limit int) ([]byte, error) {
	if strings.HasPrefix(name, "xz") {
		return DecodeXZ(data, limit)
	}
	return Decode(data, limit)
}

func TestDecode(t *testing.T) {
	want := want()
	for _, f := range files {
		data, err := base64.StdEncoding.DecodeString(f.base64)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(f.name, data, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v", f.name, got, err)
		}
		if _, err := decode(f.name, data, len(want)-1); err == nil || !strings.Contains(err.Error(), "the output limit for a file of this size is 1048 bytes") {
			t.Errorf("%s: above the limit: %v", f.name, err)
		}
		if _, err := decode(f.name, append(bytes.Clone(data), 0), len(want)); err == nil {
			t.Errorf("%s: no error for an extra byte", f.name)
		}
		for n := range data {
			if _, err := decode(f.name, data[:n], len(want)); err == nil {
				t.Errorf("%s: no error for its first %d bytes", f.name, n)
			}
		}
	}
}

// TestDecode_damaged changes each bit. In a .xz file this is an error; in a .lzma file,
// which has no checks, the output may change but stays within the limit.
func TestDecode_damaged(t *testing.T) {
	want := want()
	for _, f := range files {
		data, _ := base64.StdEncoding.DecodeString(f.base64)
		for i := range 8 * len(data) {
			data[i/8] ^= 1 << (i % 8)
			got, err := decode(f.name, data, 2*len(want))
			if err != nil {
				golden.CheckError(t, err)
			}
			if err == nil && strings.HasPrefix(f.name, "xz") || len(got) > 2*len(want) {
				t.Errorf("%s: bit %d: %d bytes, %v", f.name, i, len(got), err)
			}
			data[i/8] ^= 1 << (i % 8)
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
		for _, name := range []string{"xz", "lzma"} {
			got, err := decode(name, data, limit)
			if len(got) > limit || err == nil && len(data) == 0 {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			if err != nil {
				golden.CheckError(t, err)
			}
		}
	})
}
