package repository

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// TestCompareVersions sorts versions that were shuffled.
func TestCompareVersions(t *testing.T) {
	tests := []struct {
		reason string
		want   []string // newest first
	}{
		{"numbers by value", []string{"10", "9", "1", "0"}},
		{"equal numbers by text", []string{"2", "02", "002", "1"}},
		{"numbers of any length", []string{"100000000000000000001", "100000000000000000000", "99999999999999999999", "20250623141807"}},
		{"others by text", []string{"v9", "v10", "b", "a"}},
		{"dates of equal width", []string{"2025-06-23", "2025-06-09", "2024-12-31"}},
		{"numbers before others", []string{"1", "00", "٣", "zz", "backup", "1.5", "-1", "+2"}},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range tests {
		for range 50 {
			got := append([]string(nil), test.want...)
			random.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
			if diff := cmp.Diff(test.want, newestFirst(got)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", test.reason, diff)
			}
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"price", "1", "a b", "αβγ", "lost+found", "a.b-c_d"} {
		if err := checkName("name", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a@b", "@", "a\nb", "\x7f", "a\u0085", "\xff"} {
		if err := checkName("name", bad); !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("%q: %v, want ErrInvalidConfig", bad, err)
		}
	}
}
