package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket"
)

const testKey = "0123456789abcdef"

// logged opens logs by settings, logs a prediction for ann, and returns the files by
// name.
func logged(t *testing.T, s logSettings) map[string]string {
	t.Helper()
	s.Dir = filepath.Join(t.TempDir(), "logs")
	logs, err := s.open(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	logs.Model.LogModel(t.Context(), basket.ModelEvent{Result: basket.Result{Prediction: basket.Prediction{UserID: "ann"}}})
	if err := logs.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(s.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func TestLogSettings_open(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(testKey+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const hash = "fb385915a0623c0be3e7b0a7134dbb62"
	for _, test := range []struct {
		name     string
		settings logSettings
		file     string // of the model log
		want     string // in it
	}{
		{"default", logSettings{}, "model_metrics.txt", "user_id=ann |"},
		{"text, plain", logSettings{Format: "text", UserID: "plain"}, "model_metrics.txt", "user_id=ann |"},
		{"json", logSettings{Format: "json"}, "model_metrics.json", `"user_id":"ann"`},
		{"json, none", logSettings{Format: "json", UserID: "none"}, "model_metrics.json", `"msg":"prediction","route"`},
		{"text, none", logSettings{UserID: "none"}, "model_metrics.txt", "user_id=- |"},
		{"json, key in a file", logSettings{Format: "json", UserID: "hash", UserIDKeyFile: keyFile}, "model_metrics.json", hash},
		{"text, key of the environment", logSettings{UserID: "hash", UserIDKey: testKey}, "model_metrics.txt", "user_id=" + hash + " |"},
		{"rotation", logSettings{MaxSize: 1, MaxDays: 1, Keep: 2}, "model_metrics.txt", "user_id=ann |"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if files := logged(t, test.settings); !strings.Contains(files[test.file], test.want) || len(files) != 2 {
				t.Errorf("files %q: want %q in %s", files, test.want, test.file)
			}
		})
	}
}

// TestLogSettings_rotation: the settings reach the files.
func TestLogSettings_rotation(t *testing.T) {
	s := logSettings{Dir: t.TempDir(), Format: "json", MaxSize: 1, Keep: 1}
	logs, err := s.open(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	for range 7 { // of half a MiB each
		logs.Service.LogService(t.Context(), basket.ServiceEvent{Message: strings.Repeat("x", 1<<19)})
	}
	if err := logs.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "service_metrics*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 { // the present one, and the old one that is kept
		t.Errorf("files %q, want 2", files)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 {
			t.Errorf("%s: %v, %v, want at most 1 MiB", file, info, err)
		}
	}
}

func TestLogSettings_invalid(t *testing.T) {
	dir := t.TempDir()
	short, long := filepath.Join(dir, "short"), filepath.Join(dir, "long")
	for path, key := range map[string]string{short: "short\n", long: strings.Repeat("x", 5000)} {
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name     string
		settings logSettings
		want     []string
	}{
		{"no folder", logSettings{}, []string{"no folder: give --logs DIR"}},
		{"hash without key", logSettings{Dir: dir, UserID: "hash"}, []string{"no key to hash user IDs: give --log-user-id-key-file or BASKET_LOG_USER_ID_KEY"}},
		{"two keys", logSettings{Dir: dir, UserID: "hash", UserIDKeyFile: short, UserIDKey: testKey}, []string{"two keys"}},
		{"short key", logSettings{Dir: dir, UserID: "hash", UserIDKeyFile: short}, []string{"key of user IDs of 5 bytes: want 16 to 1024"}},
		{"long key", logSettings{Dir: dir, UserID: "hash", UserIDKeyFile: long}, []string{"want 16 to 1024"}},
		{"no key file", logSettings{Dir: dir, UserID: "hash", UserIDKeyFile: filepath.Join(dir, "none")}, []string{"key of user IDs: open "}},
		{"key without hash", logSettings{Dir: dir, UserIDKey: testKey}, []string{"not hashed: give --log-user-id hash"}},
		{"key and none", logSettings{Dir: dir, UserID: "none", UserIDKeyFile: short}, []string{"not hashed: give --log-user-id hash"}},
		{"unknown user IDs", logSettings{Dir: dir, UserID: "md5"}, []string{`user IDs "md5": want plain, hash or none`}},
		{"keep alone", logSettings{Dir: dir, Keep: 3}, []string{"nothing is rotated: give a size or days too"}},
		{
			"all at once", logSettings{Format: "xml", UserID: "md5", MaxSize: -1, MaxDays: -2, Keep: -3},
			[]string{"no folder", `format "xml": want text or json`, "size of -1 MiB", "-2 days", "keep -3", `"md5"`},
		},
		{"overflow", logSettings{Dir: dir, MaxSize: 1<<20 + 1}, []string{"want 0 to 1048576"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			logs, err := test.settings.open(nil)
			if err == nil {
				_ = logs.Close()
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), testKey) {
				t.Errorf("%v: it tells the key", err)
			}
		})
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"long", "short"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}
