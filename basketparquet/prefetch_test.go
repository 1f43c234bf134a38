package basketparquet

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPrefetch counts batches and ends in each possible way. The synctest bubble
// fails a test that leaves a goroutine.
func TestPrefetch(t *testing.T) {
	errFill := errors.New("fill")
	tests := []struct {
		name   string
		end    func() (bool, error) // of the eleventh fill
		stop   int                  // the use that returns false, or -1
		panics int                  // the use that panics, or -1
		used   int
		want   string
	}{
		{"all", func() (bool, error) { return false, nil }, -1, -1, 10, ""},
		{"fill fails", func() (bool, error) { return true, errFill }, -1, -1, 10, "fill"},
		{"fill panics", func() (bool, error) { panic("oh") }, -1, -1, 10, "the reader panicked: oh"},
		{"use stops", func() (bool, error) { return false, nil }, 4, -1, 4, ""},
		{"use stops at last", func() (bool, error) { return true, errFill }, 9, -1, 9, ""},
		{"use stops at once", func() (bool, error) { return true, errFill }, 0, -1, 0, ""},
		{"use panics", func() (bool, error) { return false, nil }, -1, 5, 5, "use panicked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next, used := 0, 0
				fill := func(b *int) (bool, error) {
					time.Sleep(time.Second)
					if *b = next; next == 10 {
						return test.end()
					}
					next++
					return true, nil
				}
				use := func(b *int) bool {
					time.Sleep(time.Second)
					if *b != used {
						t.Errorf("batch %d: want %d", *b, used)
					}
					if used == test.panics {
						panic("oh")
					}
					if used == test.stop {
						return false
					}
					used++
					return true
				}
				got := ""
				func() {
					defer func() {
						if recover() != nil {
							got = "use panicked"
						}
					}()
					if err := prefetch(fill, use); err != nil {
						got = err.Error()
					}
				}()
				if diff := cmp.Diff(test.want, got); diff != "" || used != test.used {
					t.Errorf("%d batches: want %d; error (-want +got):\n%s", used, test.used, diff)
				}
			})
		})
	}
}

// Ten batches that take a second to fill and a second to use take eleven seconds.
func TestPrefetch_overlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		err := prefetch(func(*struct{}) (bool, error) {
			if n == 10 {
				return false, nil
			}
			n++
			time.Sleep(time.Second)
			return true, nil
		}, func(*struct{}) bool {
			time.Sleep(time.Second)
			return true
		})
		if took := time.Since(start); err != nil || took != 11*time.Second {
			t.Errorf("%v, %v", took, err)
		}
	})
}
