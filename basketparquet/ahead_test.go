package basketparquet

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAhead counts batches in order, and meets each way to end; the bubble fails a
// test that leaves a goroutine behind.
func TestAhead(t *testing.T) {
	errRead, errUse := errors.New("read"), errors.New("use")
	tests := []struct {
		name           string
		end            func() (bool, error) // of the eleventh read
		useFails, used int
		want           string
	}{
		{"all", func() (bool, error) { return false, nil }, -1, 10, ""},
		{"read fails", func() (bool, error) { return true, errRead }, -1, 10, "read"},
		{"read panics", func() (bool, error) { panic("oh") }, -1, 10, "the reader failed: oh"},
		{"use fails", func() (bool, error) { return false, nil }, 4, 4, "use"},
		{"use fails at last", func() (bool, error) { return false, nil }, 9, 9, "use"},
		{"use fails at once", func() (bool, error) { panic("oh") }, 0, 0, "use"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next, used := 0, 0
				err := ahead(func(b *int) (bool, error) {
					time.Sleep(time.Second)
					if *b = next; next == 10 {
						return test.end()
					}
					next++
					return true, nil
				}, func(b *int) error {
					time.Sleep(time.Second)
					if *b != used {
						t.Errorf("batch %d, want %d", *b, used)
					}
					if used == test.useFails {
						return errUse
					}
					used++
					return nil
				})
				if got := errText(err); !strings.HasPrefix(got, test.want) || got != "" && test.want == "" || used != test.used {
					t.Errorf("%v after %d batches, want %q after %d", err, used, test.want, test.used)
				}
			})
		})
	}
}

// TestAhead_overlaps: ten batches of a second each way take eleven seconds.
func TestAhead_overlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		err := ahead(func(*struct{}) (bool, error) {
			if n == 10 {
				return false, nil
			}
			n++
			time.Sleep(time.Second)
			return true, nil
		}, func(*struct{}) error {
			time.Sleep(time.Second)
			return nil
		})
		if took := time.Since(start); err != nil || took != 11*time.Second {
			t.Errorf("%v, %v", took, err)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
