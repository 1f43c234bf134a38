package serve

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// TestOpenLogs_forms: each form has its files, with what the options ask for.
func TestOpenLogs_forms(t *testing.T) {
	for _, test := range []struct {
		name           string
		opts           []LogsOption
		service, model string // name of the file, a line of it
		serviceLine    string
		modelLine      string
	}{
		{"text", nil, "service_metrics.txt", "model_metrics.txt", ServiceLogHeader + "2025-", "user_id=ann | prediction=53.60"},
		{"text by name", []LogsOption{WithLogFormat(TextFormat)}, "service_metrics.txt", "model_metrics.txt", ServiceLogHeader + "2025-", "user_id=ann | prediction=53.60"},
		{
			"text without users", []LogsOption{WithUserIDs(WithoutUserIDs())},
			"service_metrics.txt", "model_metrics.txt", " | REQUEST | POST /predict | ", "user_id=- | prediction=53.60",
		},
		{"json", []LogsOption{WithLogFormat(JSONFormat)}, "service_metrics.json", "model_metrics.json", `"path":"/predict"`, `"user_id":"ann","route"`},
		{
			"json without users", []LogsOption{WithLogFormat(JSONFormat), WithUserIDs(WithoutUserIDs())},
			"service_metrics.json", "model_metrics.json", `"msg":"request","method"`, `"msg":"prediction","route"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "logs")
			l, err := OpenLogs(dir, nil, append(test.opts, WithRotation(Rotation{MaxBytes: 1 << 20, Days: 1, Keep: 3}))...)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Date(2025, 6, 23, 14, 18, 7, 0, time.Local)
			l.Service.LogService(t.Context(), basket.ServiceEvent{Time: now, Method: "POST", Path: "/predict", Status: 200})
			l.Model.LogModel(t.Context(), basket.ModelEvent{Time: now, Result: basket.Result{Prediction: basket.Prediction{UserID: "ann", Value: 53.6}}})
			if n := l.Dropped(); n != 0 {
				t.Errorf("%d lines dropped", n)
			}
			if err := errors.Join(l.Reopen(), l.Close()); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if diff := cmp.Diff([]string{test.model, test.service}, names); diff != "" {
				t.Errorf("files (-want +got)\n%s", diff)
			}
			for name, want := range map[string]string{test.service: test.serviceLine, test.model: test.modelLine} {
				got := read(t, filepath.Join(dir, name))
				if !strings.Contains(got, want) {
					t.Errorf("%s: %q: want %q in it", name, got, want)
				}
				if strings.HasSuffix(name, ".json") && !json.Valid([]byte(got)) {
					t.Errorf("%s: %q: want one JSON object", name, got)
				}
			}
		})
	}
}

// TestLogs_Dropped counts the lines of both files.
func TestLogs_Dropped(t *testing.T) {
	l, err := OpenLogs(t.TempDir(), func(error) {}, WithLogFormat(JSONFormat))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxBuffered+1)
	l.Service.LogService(t.Context(), basket.ServiceEvent{Message: long})
	l.Model.LogModel(t.Context(), basket.ModelEvent{Result: basket.Result{Prediction: basket.Prediction{Model: long}}})
	if n := l.Dropped(); n != 2 {
		t.Errorf("%d lines dropped, want 2", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenLogs_invalid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	_, err := OpenLogs(dir, nil, WithLogFormat("xml"), WithRotation(Rotation{Days: -1}))
	for _, want := range []string{`log format "xml": want "text" or "json"`, "Days -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made nevertheless: %v", err)
	}
	// If the second file cannot be opened, the first one is closed.
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "model_metrics.txt"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLogs(dir, nil); err == nil || !strings.Contains(err.Error(), "model_metrics.txt") {
		t.Errorf("a folder in place of a file: %v", err)
	}
}
