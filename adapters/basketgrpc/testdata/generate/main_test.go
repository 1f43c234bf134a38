package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGenerate_current: the committed files are those of inference.proto.
func TestGenerate_current(t *testing.T) {
	files, err := generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Errorf("%d files: want 2", len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current: go -C adapters/basketgrpc/testdata/generate run .\n%s", name, diff)
		}
	}
}
