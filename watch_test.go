package basket_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
)

func TestPredictor_Watch(t *testing.T) {
	regression, err := os.ReadFile(regressionModel)
	if err != nil {
		t.Fatal(err)
	}
	poisson, err := os.ReadFile("testdata/models/lightgbm-poisson/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.txt")
	synctest.Test(t, func(t *testing.T) {
		// The clock of the bubble gives each version of the file its own time.
		write := func(data []byte) {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		write(regression)
		m, err := basket.LoadModel(path)
		if err != nil {
			t.Fatal(err)
		}
		log := &serviceEvents{}
		p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(m), basket.WithServiceLogger(log))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Watch(ctx, "default", path, time.Second) }()
		model := func() string {
			got, err := p.Predict(ctx, "a")
			if err != nil {
				t.Error(err)
			}
			return got.Model
		}
		settle := func() {
			time.Sleep(5 * time.Second)
			synctest.Wait()
		}
		first := model()
		settle()
		if len(log.all()) != 0 {
			t.Errorf("no change, but logged %v", log.all())
		}

		write(poisson[:len(poisson)/2])
		settle()
		if model() != first || len(log.all()) != 1 || !errors.Is(log.all()[0].Err, basket.ErrModelFormat) {
			t.Errorf("a damaged file: model %s, logged %v", model(), log.all())
		}

		write(poisson)
		settle()
		if model() == first || len(log.all()) != 2 || log.all()[1].Err != nil {
			t.Errorf("a new file: model %s, logged %v", model(), log.all())
		}

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		settle()
		if len(log.all()) != 3 || !errors.Is(log.all()[2].Err, os.ErrNotExist) {
			t.Errorf("no file: logged %v", log.all())
		}
		write(regression)
		settle()
		if model() != first {
			t.Errorf("the file is back: model %s, want %s", model(), first)
		}

		// Content is compared, not times.
		logged := len(log.all())
		now := time.Now()
		write(poisson)
		if err := os.Chtimes(path, now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		settle()
		if model() == first || len(log.all()) != logged+1 {
			t.Errorf("a new file of an old time: model %s, logged %v", model(), log.all())
		}
		write(poisson)
		settle()
		if len(log.all()) != logged+1 {
			t.Errorf("an equal file of a new time: logged %v", log.all())
		}

		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
		if err := p.Watch(t.Context(), "default", path, 0); !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("every 0s: %v", err)
		}
		if err := p.Watch(t.Context(), "defualt", path, time.Second); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), `"defualt"`) {
			t.Errorf("a misspelt route: %v", err)
		}
	})
}

// TestPredictor_Watch_changedBefore: a file that changed between LoadModel and
// Watch is loaded.
func TestPredictor_Watch_changedBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.txt")
	copyFile(t, regressionModel, path)
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(loadModel(t, path)))
	copyFile(t, "testdata/models/lightgbm-poisson/model.txt", path)
	want := loadModel(t, path).String()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.Watch(ctx, "default", path, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Watch: %v", err)
		}
		if got, err := p.Predict(t.Context(), "a"); err != nil || got.Model != want {
			t.Errorf("model %s, %v: want %s", got.Model, err, want)
		}
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
