package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/routing"
	"github.com/parquet-go/parquet-go"
)

// long reports whether tests should run as long as they do in .ci/long.
func long() bool { return os.Getenv("BASKET_LONG") != "" }

// versionOf returns the demo shop's model with n added to the leaves of the first tree.
func versionOf(t testing.TB, n int) []byte {
	t.Helper()
	text, err := os.ReadFile(demo + "/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^leaf_value=.*$`).FindIndex(text)
	var leaves []string
	for leaf := range strings.FieldsSeq(string(text[line[0]+len("leaf_value=") : line[1]])) {
		v, err := strconv.ParseFloat(leaf, 64)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, strconv.FormatFloat(v+float64(n), 'g', -1, 64))
	}
	return slices.Concat(text[:line[0]], []byte("leaf_value="+strings.Join(leaves, " ")), text[line[1]:])
}

// writeWholeFile puts a file in its place by a rename.
func writeWholeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+".part", text, 0o600), os.Rename(path+".part", path))
	if err != nil {
		t.Error(err)
	}
}

// dearer returns the demo shop's inventory with prices that are half as high again.
func dearer(t testing.TB) []byte {
	t.Helper()
	type item struct {
		Variant int64   `parquet:"variant_id"`
		Price   float64 `parquet:"price"`
	}
	var items []item
	for i, err := range basketparquet.Inventory(t.Context(), os.DirFS(demo)) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item{i.VariantID, 1.5 * i.Price})
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[item](&b)
	if _, err := w.Write(items); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// copyShop copies the demo shop's orders.
func copyShop(t testing.TB, dir string) {
	t.Helper()
	for _, name := range []string{"orders.parquet", "regulars.parquet", "inventory.parquet"} {
		text, err := os.ReadFile(filepath.Join(demo, name))
		if err != nil {
			t.Fatal(err)
		}
		writeWholeFile(t, filepath.Join(dir, name), text)
	}
}

// A changingShop knows what each version of the model predicts for each export of the
// data.
type changingShop struct {
	users []string
	rows  [2][]basket.Row // by export, in the order of users

	mu    sync.Mutex
	wants map[string][2][]float64 // by model ID

	others atomic.Int64 // answers that only the second export explains
}

func newChangingShop(t *testing.T, exports ...string) *changingShop {
	t.Helper()
	s := &changingShop{wants: map[string][2][]float64{}}
	for i, dir := range exports {
		history, err := basketparquet.Materialize(t.Context(), os.DirFS(dir), basket.LastOrder)
		if err != nil {
			t.Fatal(err)
		}
		for row, err := range history.Latest(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			s.rows[i] = append(s.rows[i], row)
			if i == 0 {
				s.users = append(s.users, row.UserID)
			}
		}
	}
	return s
}

// add computes what a model predicts.
func (s *changingShop) add(t *testing.T, id string, text []byte) {
	m, err := basket.ReadModel(bytes.NewReader(text))
	if err != nil {
		t.Error(err)
		return
	}
	var want [2][]float64
	for i, rows := range s.rows {
		for _, row := range rows {
			dst := make([]float64, 1)
			if err := m.Predict(t.Context(), dst, row.Values); err != nil {
				t.Error(err)
			}
			want[i] = append(want[i], dst[0])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants[id] = want
}

// check compares an answer with what its model predicts for a user, by number.
func (s *changingShop) check(user int, model string, body []byte) error {
	var answer struct {
		UserID string  `json:"user_id"`
		Price  float64 `json:"predicted_price"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	s.mu.Lock()
	want, ok := s.wants[model]
	s.mu.Unlock()
	if !ok || answer.UserID != s.users[user] || answer.Price != want[0][user] && answer.Price != want[1][user] {
		return fmt.Errorf("user %s: %s by %q: want %v or %v", s.users[user], body, model, want[0], want[1])
	}
	if answer.Price != want[0][user] {
		s.others.Add(1)
	}
	return nil
}

// TestServe_changes sends requests while versions of the model are added, and routes
// and data change: every answer is that of the version that it names, there is no
// error, and neither goroutines nor memory grow.
func TestServe_changes(t *testing.T) {
	length, rate, dataEvery := 7*time.Second, 200, time.Second
	if long() {
		length, rate, dataEvery = time.Minute, 2000, 10*time.Second
	}
	dir := t.TempDir()
	data, other, models, routes := dir+"/data", dir+"/other", dir+"/models", dir+"/routes.yaml"
	copyShop(t, data)
	copyShop(t, other)
	inventories := [2][]byte{nil, dearer(t)}
	inventories[0], _ = os.ReadFile(data + "/inventory.parquet")
	writeWholeFile(t, other+"/inventory.parquet", inventories[1])
	shop := newChangingShop(t, data, other)
	version := 0
	addVersion := func() {
		version++
		text := versionOf(t, version)
		shop.add(t, fmt.Sprintf("price@%d", version), text)
		writeWholeFile(t, fmt.Sprintf("%s/price/%d/model.txt", models, version), text)
	}
	addVersion()
	writeWholeFile(t, routes, []byte("experiment: first\nroutes:\n- {name: a, model: price, weight: 9}\n- {name: b, model: price@1, weight: 1}\n"))
	url, stop := startServe(t, "--data", data, "--models", models, "--routes", routes, "--admin", "--logs", dir+"/logs", "--log-format", "json")

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var changes sync.WaitGroup
	every := func(interval time.Duration, f func(n int)) {
		changes.Go(func() {
			ticker := time.NewTicker(interval)
			defer ticker.Stop()
			for n := 1; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					f(n)
				}
			}
		})
	}
	every(time.Second, func(int) { addVersion() })
	every(2*time.Second, func(n int) { changeRoutes(t, url, n) })
	every(dataEvery, func(n int) {
		if long() || n == 1 { // a change is taken when it has stayed for some seconds
			writeWholeFile(t, data+"/inventory.parquet", inventories[n%2])
		}
	})

	early := sizes{}
	time.AfterFunc(length/3, func() { early = sizesNow() })
	var sent atomic.Int64
	served := map[string]int{}
	var mu sync.Mutex
	const clients = 8
	start := time.Now()
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for i := c; ctx.Err() == nil; i += clients {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
				user := i % len(shop.users)
				model, err := predictOnce(client, url, shop, user)
				if err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
				mu.Lock()
				served[model]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	late := sizesNow()
	changes.Wait()
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	t.Logf("%d requests, %d versions of which %d answered; goroutines %d, then %d; heap %d KiB, then %d KiB",
		sent.Load(), version, len(served), early.goroutines, late.goroutines, early.heap>>10, late.heap>>10)
	if len(served) < version/2 {
		t.Errorf("of %d versions only %v answered", version, served)
	}
	if shop.others.Load() == 0 {
		t.Error("no answer by the second export of the data")
	}
	if late.goroutines > early.goroutines+10 {
		t.Errorf("%d goroutines, then %d", early.goroutines, late.goroutines)
	}
	if late.heap > early.heap+early.heap/2+8<<20 {
		t.Errorf("%d bytes of heap, then %d", early.heap, late.heap)
	}
	if lines := countLines(t, dir+"/logs/model_metrics.json", `"msg":"prediction"`, `"shadow":true`); lines != int(sent.Load()) {
		t.Errorf("%d lines of answers in the model log, want %d", lines, sent.Load())
	}
}

// predictOnce sends a request and checks the answer.
func predictOnce(client *http.Client, url string, shop *changingShop, user int) (model string, err error) {
	r, err := client.Post(url+"/predict", "application/json", strings.NewReader(fmt.Sprintf(`{"user_id":%q}`, shop.users[user])))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d, %s", r.StatusCode, body)
	}
	if err != nil {
		return "", err
	}
	model = r.Header.Get("Basket-Model")
	return model, shop.check(user, model, body)
}

// changeRoutes changes the weights and the shadow by PUT /admin/routes.
func changeRoutes(t *testing.T, url string, n int) {
	r, err := http.Get(url + "/admin/routes")
	if err != nil {
		t.Error(err)
		return
	}
	var table routing.Table
	err = json.NewDecoder(r.Body).Decode(&table)
	r.Body.Close()
	if err != nil {
		t.Error(err)
		return
	}
	table.Routes = []routing.Route{{Name: "a", Model: "price", Weight: 5 + n%5}, {Name: "b", Model: "price@1", Weight: 1}}
	if n%2 == 1 {
		table.Routes = append(table.Routes, routing.Route{Name: "c", Model: "price@1", Shadow: true})
	}
	text, err := json.Marshal(table)
	if err != nil {
		t.Error(err)
		return
	}
	put, err := http.NewRequest("PUT", url+"/admin/routes", bytes.NewReader(text))
	if err != nil {
		t.Error(err)
		return
	}
	put.Header.Set("If-Match", r.Header.Get("Etag"))
	put.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(put)
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Errorf("PUT /admin/routes: %d %s", answer.StatusCode, body)
	}
}

// sizes are what must not grow while a server runs.
type sizes struct {
	goroutines int
	heap       uint64
}

func sizesNow() sizes {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sizes{runtime.NumGoroutine(), m.HeapAlloc}
}

// countLines counts the lines of a file that have one text and not another.
func countLines(t *testing.T, path, with, without string) (n int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, with) && !strings.Contains(line, without) {
			n++
		}
	}
	return n
}
