package basket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

func postBatch(h http.Handler, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/predict/batch", strings.NewReader(body)))
	return w
}

// TestHandler_batch is the table of requests to /predict/batch and responses.
func TestHandler_batch(t *testing.T) {
	const served = `"predicted_price":53.6}`
	const unknown = `"error":{"type":"user_not_found","detail":"User not found"}}`
	const badID = `"error":{"type":"invalid_user_id","detail":"Invalid user ID"}}`
	long := strings.Repeat("x", 1025)
	tests := []struct {
		name, body string
		status     int
		want       string // the body, T standing for a timestamp
	}{
		{"two users", `{"user_ids":["abc123","nobody"]}`, 200, `{"results":[{"user_id":"abc123",` + served + `,{"user_id":"nobody",` + unknown + `],"timestamp":"T"}`},
		{"repeated, in order", `{"user_ids":["αβγ","a\"b","αβγ"]}`, 200, `{"results":[{"user_id":"αβγ",` + served + `,{"user_id":"a\"b",` + served + `,{"user_id":"αβγ",` + served + `],"timestamp":"T"}`},
		{"white space and fields", " {\n\"x\":[[\"user_ids\"]] , \"user_ids\" : [ \"abc123\" ,\t\"x\" ] } ", 200, `{"results":[{"user_id":"abc123",` + served + `,{"user_id":"x",` + unknown + `],"timestamp":"T"}`},
		{"no users", `{"user_ids":[]}`, 200, `{"results":[],"timestamp":"T"}`},
		{"bad IDs", `{"user_ids":["","a\nb","abc123","` + long + `"]}`, 200, `{"results":[{"user_id":"",` + badID + `,{"user_id":"a\nb",` + badID + `,{"user_id":"abc123",` + served + `,{"user_id":"` + long + `",` + badID + `],"timestamp":"T"}`},

		{"no body", ``, 400, `{"detail":"Request body is not one JSON value"}`},
		{"an array", `["abc123"]`, 400, `{"detail":"Request body is not a JSON object"}`},
		{"another field", `{"user_id":"abc123"}`, 400, `{"detail":"Field user_ids is missing"}`},
		{"twice", `{"user_ids":[],"user_ids":["abc123"]}`, 400, `{"detail":"Field user_ids is given twice"}`},
		{"a string", `{"user_ids":"abc123"}`, 400, `{"detail":"Field user_ids is not an array"}`},
		{"null", `{"user_ids":null}`, 400, `{"detail":"Field user_ids is not an array"}`},
		{"a number within", `{"user_ids":["abc123",5]}`, 400, `{"detail":"Field user_ids[1] is not a string"}`},
		{"half a surrogate pair", `{"user_ids":["a\ud83d"]}`, 400, `{"detail":"Field user_ids[0] is not Unicode"}`},
		{"not UTF-8", "{\"user_ids\":[\"a\xff\"]}", 400, `{"detail":"Request body is not UTF-8"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := postBatch(newHandler(t), test.body)
			if got := withoutTime(t, w.Body.String()); w.Code != test.status || got != test.want {
				t.Errorf("%d %s\nwant %d %s", w.Code, got, test.status, test.want)
			}
			if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q: want JSON", w.Header().Get("Content-Type"))
			}
		})
	}
	w := httptest.NewRecorder()
	newHandler(t).ServeHTTP(w, httptest.NewRequest("GET", "/predict/batch", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// TestWithMaxBatch: the limits and their texts; the default takes 10,000 users.
func TestWithMaxBatch(t *testing.T) {
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(constant(1)))
	small := basket.NewHandler(p, basket.WithMaxBatch(2, 31))
	users := func(n int) string { return `{"user_ids":["u"` + strings.Repeat(`,"u"`, n-1) + `]}` }
	tests := []struct {
		h      http.Handler
		body   string
		status int
		detail string
	}{
		{small, `{"user_ids":["a","b"]}`, 200, ""},
		{small, `{"user_ids":["a","b","c"]}`, 413, "Field user_ids has over 2 user IDs"},
		{small, `{"user_ids":["a","b"]}         `, 200, ""},
		{small, `{"user_ids":["a","b"]}          `, 413, "Request body over 31 bytes"},
		{basket.NewHandler(p), users(10_000), 200, ""},
		{basket.NewHandler(p), users(10_001), 413, "Field user_ids has over 10000 user IDs"},
		{basket.NewHandler(p), strings.Repeat(" ", 16<<20) + `{"user_ids":[]}`, 413, "Request body over 16777216 bytes"},
	}
	for _, test := range tests {
		w := postBatch(test.h, test.body)
		if w.Code != test.status || test.detail != "" && w.Body.String() != `{"detail":"`+test.detail+`"}` {
			t.Errorf("%.40s: %d %.80s, want %d %s", test.body, w.Code, w.Body, test.status, test.detail)
		}
	}
}

// TestHandler_batchUnknown: a thousand unknown users are a thousand errors.
func TestHandler_batchUnknown(t *testing.T) {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprint("nobody-", i)
	}
	body, err := json.Marshal(map[string][]string{"user_ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	w := postBatch(newHandler(t), string(body))
	var answer struct {
		Results []struct {
			UserID string `json:"user_id"`
			Error  struct{ Type, Detail string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || len(answer.Results) != 1000 {
		t.Fatalf("%d, %d results, %v", w.Code, len(answer.Results), err)
	}
	for i, r := range answer.Results {
		if r.UserID != ids[i] || r.Error.Type != "user_not_found" {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
}

// countingStore counts the round trips of a batch.
type countingStore struct {
	*basket.MemoryStore
	trips int
}

func (s *countingStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	s.trips++
	return s.MemoryStore.Rows(ctx, userIDs)
}

func TestHandler_batchRoundTrips(t *testing.T) {
	s := &countingStore{MemoryStore: mustStore(t, row("u", 1, 1))}
	h := basket.NewHandler(mustNew(t, basket.WithStore(s), basket.WithModel(constant(1))))
	for users, want := range map[int]int{1: 1, 4096: 1, 4097: 2, 10_000: 3} {
		s.trips = 0
		if w := postBatch(h, `{"user_ids":["u"`+strings.Repeat(`,"u"`, users-1)+`]}`); w.Code != 200 || s.trips != want {
			t.Errorf("%d users: status %d, %d round trips, want %d", users, w.Code, s.trips, want)
		}
	}
}

// TestHandler_batchFailures: what fails for single users stands in their results;
// what fails for all is the response's status.
func TestHandler_batchFailures(t *testing.T) {
	secret := errors.New("open /etc/secret")
	down := fakeStore(func(context.Context, string) (basket.Row, error) { return basket.Row{}, secret })
	partly := fakeStore(func(_ context.Context, userID string) (basket.Row, error) {
		if userID == "down" {
			return basket.Row{}, secret
		}
		return row(userID, 1, 1), nil
	})
	failing := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { return 0, secret }}
	tests := []struct {
		name   string
		store  basket.Store
		model  basket.Model
		body   string
		status int
		want   string
		retry  string
	}{
		{"the store is down", down, constant(1), `{"user_ids":["a","b",""]}`, 503, `{"detail":"Service unavailable"}`, "1"},
		{"for one user", partly, constant(1), `{"user_ids":["a","down"]}`, 200, `{"results":[{"user_id":"a","predicted_price":1},{"user_id":"down","error":{"type":"unavailable","detail":"Service unavailable"}}],"timestamp":"T"}`, ""},
		{"the model fails", partly, failing, `{"user_ids":["a"]}`, 200, `{"results":[{"user_id":"a","error":{"type":"prediction_error","detail":"Prediction service error"}}],"timestamp":"T"}`, ""},
		{"only bad IDs", down, constant(1), `{"user_ids":[""]}`, 200, `{"results":[{"user_id":"","error":{"type":"invalid_user_id","detail":"Invalid user ID"}}],"timestamp":"T"}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := postBatch(basket.NewHandler(mustNew(t, basket.WithStore(test.store), basket.WithModel(test.model))), test.body)
			if diff := cmp.Diff(test.want, withoutTime(t, w.Body.String())); diff != "" || w.Code != test.status || w.Header().Get("Retry-After") != test.retry {
				t.Errorf("%d, Retry-After %q, want %d, %q (-want +got):\n%s", w.Code, w.Header().Get("Retry-After"), test.status, test.retry, diff)
			}
		})
	}
}

// FuzzHandler_batch compares the reading of bodies with that of package json.
func FuzzHandler_batch(f *testing.F) {
	for _, body := range []string{
		`{"user_ids":["abc123","x"]}`, `{"user_ids":["a\ud83d"]}`, `{"a":[{}],"user_ids":[ "x" , "\u00e9" ]}`, `{"user_ids":[1]}`, `{"user_ids":[]}`, `{"user_ids":[["a"],{}]}`,
	} {
		f.Add([]byte(body))
	}
	store := fakeStore(func(_ context.Context, userID string) (basket.Row, error) { return row(userID, 1, 1), nil })
	h := basket.NewHandler(mustNew(f, basket.WithStore(store), basket.WithModel(constant(1))))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict/batch", bytes.NewReader(body)))
		if !json.Valid(w.Body.Bytes()) || w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		if w.Code != 200 {
			return
		}
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("served %q: %v", body, err)
		}
		want, _ := fields["user_ids"].([]any)
		var answer struct {
			Results []struct {
				UserID string `json:"user_id"`
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Results) != len(want) {
			t.Fatalf("served %q: %d results, %v", body, len(answer.Results), err)
		}
		for i, r := range answer.Results {
			if r.UserID != want[i] {
				t.Errorf("served %q: result %d is of %q", body, i, r.UserID)
			}
		}
	})
}

// BenchmarkHandler_batch answers 1,000 users in one request, without logs.
func BenchmarkHandler_batch(b *testing.B) {
	h := newHandler(b)
	body := `{"user_ids":["abc123"` + strings.Repeat(`,"abc123"`, 999) + `]}`
	b.ReportAllocs()
	for b.Loop() {
		if w := postBatch(h, body); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
