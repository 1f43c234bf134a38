package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
)

// copySlowly writes a file in place, in pieces with pauses of up to longest.
func copySlowly(t *testing.T, path string, text []byte, pieces int, longest time.Duration) {
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for i := range pieces {
		if _, err := f.Write(text[len(text)*i/pieces : len(text)*(i+1)/pieces]); err != nil {
			t.Error(err)
		}
		if i < pieces-1 {
			time.Sleep(rand.N(longest))
		}
	}
}

// slowCopies returns how many copies the tests of slow copies make at the same time, of
// how many pieces each, and the longest pause.
func slowCopies() (copies, pieces int, pause time.Duration) {
	if long() {
		return 100, 50, 1500 * time.Millisecond
	}
	return 8, 4, 1500 * time.Millisecond
}

// settled is how long after the end of a copy its content is served.
const settled = 5 * time.Second

// TestModels_slowCopies copies new versions slowly: they are never served in part, and
// whole soon after the end.
func TestModels_slowCopies(t *testing.T) {
	t.Parallel()
	copies, pieces, pause := slowCopies()
	dir := t.TempDir()
	first, second := versionOf(t, 1), versionOf(t, 2)
	digests := map[string]bool{}
	for _, text := range [][]byte{first, second} {
		path := filepath.Join(t.TempDir(), "model.txt")
		writeWholeFile(t, path, text)
		m, err := basket.LoadModel(path)
		if err != nil {
			t.Fatal(err)
		}
		digests[m.Info().Digest] = true
	}
	name := func(i int) string { return fmt.Sprintf("price%d", i) }
	for i := range copies {
		writeWholeFile(t, filepath.Join(dir, name(i), "1", "model.txt"), first)
	}
	models, err := repository.Open(dir, repository.WithCheck(servable))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var background, group sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { _ = models.Watch(ctx, watchInterval, nil) })
	for i := range copies {
		group.Go(func() {
			path := filepath.Join(dir, name(i), "2", "model.txt")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Error(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				copySlowly(t, path, second, pieces, pause)
			}()
			var end time.Time
			for {
				m, err := models.Model(name(i))
				if err != nil || !digests[m.Info().Digest] {
					t.Errorf("%s: served %v, %v", name(i), m, err)
					return
				}
				if m.Info().ID == name(i)+"@2" {
					break
				}
				select {
				case <-done:
					done, end = nil, time.Now()
				case <-time.After(20 * time.Millisecond):
				}
				if !end.IsZero() && time.Since(end) > settled {
					t.Errorf("%s: not served %v after the end of the copy; %+v", name(i), settled, models.State()[i])
					return
				}
			}
			if done != nil {
				select {
				case <-done:
				default:
					t.Errorf("%s: version 2 is served before its copy has ended", name(i))
					<-done
				}
			}
		})
	}
	group.Wait()
}

// TestData_slowCopies replaces exports of data slowly: they are never served in part, and
// whole soon after the end.
func TestData_slowCopies(t *testing.T) {
	t.Parallel()
	copies, pieces, pause := slowCopies()
	var export [3][]byte // of another shop: all of its rows differ
	names := []string{"orders.parquet", "regulars.parquet", "inventory.parquet"}
	for i, name := range names {
		var err error
		if export[i], err = os.ReadFile(filepath.Join(demo, name)); err != nil {
			t.Fatal(err)
		}
	}
	export[2] = dearer(t)
	ctx, stop := context.WithCancel(t.Context())
	var background, group sync.WaitGroup
	defer background.Wait()
	defer stop()
	for i := range copies {
		dir := t.TempDir()
		copyShop(t, dir)
		d := newMemoryRows(folderSource{dir, basket.LastOrder}, func(string, error) {}, nil)
		d.watch(ctx, &background)
		if err := d.load(ctx, terminal{}); err != nil {
			t.Fatal(err)
		}
		d.follow(ctx, &background)
		user := anyUser(t, dir)
		value := func() float64 {
			row, err := d.store.Row(ctx, user)
			if err != nil {
				t.Error(err)
			}
			return row.Values[0]
		}
		before := value()
		group.Go(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for k, name := range names {
					copySlowly(t, filepath.Join(dir, name), export[k], pieces, pause)
				}
			}()
			for running := true; running; {
				select {
				case <-done:
					running = false
				case <-time.After(20 * time.Millisecond):
					if v := value(); v != before {
						t.Errorf("export %d: a row of it is served before the copy has ended", i)
						<-done
						return
					}
				}
			}
			for end := time.Now(); value() == before; time.Sleep(20 * time.Millisecond) {
				if time.Since(end) > settled {
					t.Errorf("export %d: not served %v after the end of the copy; %+v", i, settled, d.details())
					return
				}
			}
			if v, ratio := value(), 1.5; v < before*ratio*0.999 || v > before*ratio*1.001 {
				t.Errorf("export %d: value %v, want 1.5 times %v", i, v, before)
			}
		})
	}
	group.Wait()
}

// anyUser returns a user of a folder of orders.
func anyUser(t *testing.T, dir string) string {
	t.Helper()
	return newChangingShop(t, dir).users[0]
}
