package baskettest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketleaves"
	"github.com/basket-go/basket/baskettest"
	"github.com/basket-go/basket/serve"
)

func TestMemoryStore(t *testing.T) {
	baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
		s, err := basket.NewMemoryStore(basket.Values[basket.Row](nil))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestLimitStore tests a store with a time limit, which is all a store is but Put.
func TestLimitStore(t *testing.T) {
	baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
		memory, err := basket.NewMemoryStore(basket.Values[basket.Row](nil))
		if err != nil {
			t.Fatal(err)
		}
		// A MemoryStore itself is returned as it is.
		s, err := basket.LimitStore(struct{ *basket.MemoryStore }{memory}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return struct {
			limitedBatchDeleter
			putter
		}{s.(limitedBatchDeleter), memory}
	})
}

// TestLimitStore_faults tests a time limit around a store that ignores its context.
func TestLimitStore_faults(t *testing.T) {
	baskettest.TestStoreFaults(t, func(t *testing.T) (baskettest.Store, baskettest.Faults) {
		memory, err := basket.NewMemoryStore(basket.Values[basket.Row](nil))
		if err != nil {
			t.Fatal(err)
		}
		failing := &failingStore{MemoryStore: memory}
		s, err := basket.LimitStore(failing, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return struct {
			limitedBatchDeleter
			putter
		}{s.(limitedBatchDeleter), failing}, failing.faults()
	})
}

type limitedBatchDeleter interface {
	basket.BatchStore
	basket.Deleter
}

type putter interface {
	Put(ctx context.Context, rows []basket.Row) error
}

// TestFileModels tests a model of each kind that is read from a file, and on both
// engines.
func TestFileModels(t *testing.T) {
	for _, name := range []string{
		"lightgbm-regression/model.txt", "lightgbm-nan/model.txt", "lightgbm-categorical/model.txt", "lightgbm-linear/model.txt",
		"lightgbm-multiclass/model.txt", "lightgbm-poisson/model.txt", "lightgbm-constant/model.txt", "lightgbm-zero-missing/model.txt",
		"xgboost-regression/model.json", "xgboost-dart/model.json", "xgboost-linear/model.json", "xgboost-softmax/model.ubj", "xgboost-categories/model.json",
		"sklearn-extratrees/model.joblib", "sklearn-elasticnet/model.joblib", "sklearn-hist-missing/model.joblib", "sklearn-pipeline-nested/model.joblib", "sklearn-target-log1p/model.joblib",
	} {
		path := filepath.Join("../testdata/models", name)
		for output, opts := range map[string][]basket.ModelOption{"prediction": nil, "margin": {basket.WithMargin()}} {
			t.Run(name+"/"+output, func(t *testing.T) {
				baskettest.TestModel(t, func(t *testing.T) basket.Model {
					m, err := basket.LoadModel(path, opts...)
					if err != nil {
						t.Fatal(err)
					}
					return m
				})
			})
		}
		if m, err := basketleaves.Load(path); err == nil {
			t.Run("leaves/"+name, func(t *testing.T) {
				baskettest.TestModel(t, func(*testing.T) basket.Model { return m })
			})
		}
	}
}

func TestTextLogger(t *testing.T) {
	baskettest.TestLogger(t, func(*testing.T) (any, func() []string) {
		var b bytes.Buffer
		var locked lockedWriter
		locked.w = &b
		return serve.NewTextLogger(&locked), func() []string { return lines(b.String()) }
	})
}

func TestTextLogger_logFile(t *testing.T) {
	baskettest.TestLogger(t, func(t *testing.T) (any, func() []string) {
		path := filepath.Join(t.TempDir(), "log.txt")
		f, err := serve.OpenLogFile(path, "", func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return serve.NewTextLogger(f), func() []string {
			if err := f.Reopen(); err != nil { // writes what is in memory
				t.Error(err)
			}
			return readLines(t, path)
		}
	})
}

func TestSlogLogger(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			baskettest.TestLogger(t, func(t *testing.T) (any, func() []string) {
				var b bytes.Buffer
				return serve.NewSlogLogger(slog.New(handler(&b))), func() []string {
					records := lines(b.String())
					for _, r := range records {
						if name == "json" && !json.Valid([]byte(r)) {
							t.Errorf("not JSON: %s", r)
						}
					}
					return records
				}
			})
		})
	}
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
