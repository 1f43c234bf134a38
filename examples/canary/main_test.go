package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/basket-go/basket"
)

// TestRun gives the same model two versions: the canary gets a tenth of the users, and
// the shadow does not differ.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	model, err := os.ReadFile("../server/demo/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows []basket.Row
	var users []string
	for i := range 2000 {
		users = append(users, fmt.Sprint("user-", i))
		rows = append(rows, basket.Row{UserID: users[i], Values: []float64{40, 10, 2, float64(i % 7)}})
	}
	store, err := basket.NewMemoryStore(basket.Values(rows))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, version := range []string{"1", "2"} {
		if err := run(t.Context(), dir, store, users, &out); err == nil || !strings.Contains(err.Error(), "want two at least") {
			t.Errorf("before version %s: %v", version, err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "price", version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "price", version, "model.txt"), model, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), dir, store, users, &out); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^answers by model: map\[price@1:1[78]\d\d price@2:[12]\d\d\]; mean difference of the shadow: 0.00\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("%s\nwant %s", &out, want)
	}
}
