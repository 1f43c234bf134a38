package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

const userIDKey = "a key of 16 byte"

func hashUserIDs(t testing.TB) serve.UserIDs {
	t.Helper()
	ids, err := serve.HashUserIDs([]byte(userIDKey))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestHashUserIDs: the hashes are what Python gives:
//
//	hmac.new(b"a key of 16 byte", user_id.encode(), "sha256").hexdigest()[:32]
func TestHashUserIDs(t *testing.T) {
	ids := hashUserIDs(t)
	for userID, want := range map[string]string{
		"ann": "3c95869206c275396e3b879a4284d0fc",
		"αβγ": "0223803adbe9db70a5c3f3c2b57d862f",
	} {
		if got := ids(userID); got != want {
			t.Errorf("hash of %q: %s, want %s", userID, got, want)
		}
	}
	for _, length := range []int{0, 15, 1025} {
		if _, err := serve.HashUserIDs(make([]byte, length)); err == nil || !strings.Contains(err.Error(), "want 16 to 1024") {
			t.Errorf("a key of %d bytes: %v", length, err)
		}
	}
}

// TestHashUserIDs_keyIsCopied: the caller may erase the key.
func TestHashUserIDs_keyIsCopied(t *testing.T) {
	key := []byte(userIDKey)
	ids, err := serve.HashUserIDs(key)
	if err != nil {
		t.Fatal(err)
	}
	clear(key)
	if ids("ann") != hashUserIDs(t)("ann") {
		t.Error("the hash changes with the caller's slice")
	}
}

func TestHashUserIDs_ConcurrentSafe(t *testing.T) {
	ids := hashUserIDs(t)
	want := ids("ann")
	done := make(chan string)
	for range 8 {
		go func() {
			for range 200 {
				if got := ids("ann"); got != want {
					done <- got
					return
				}
				ids("another")
			}
			done <- want
		}()
	}
	for range 8 {
		if got := <-done; got != want {
			t.Errorf("hash %s, want %s", got, want)
		}
	}
}

// keptEvents keeps what it is given.
type keptEvents struct {
	service []basket.ServiceEvent
	model   []basket.ModelEvent
}

func (k *keptEvents) LogService(_ context.Context, e basket.ServiceEvent) {
	k.service = append(k.service, e)
}
func (k *keptEvents) LogModel(_ context.Context, e basket.ModelEvent) { k.model = append(k.model, e) }

func TestUserIDs_errors(t *testing.T) {
	long := "customer-" + strings.Repeat("0123456789", 10)
	for _, test := range []struct{ name, userID, text, want string }{
		{"plain", "ann-1", "get ann-1: refused", "get [user ID]: refused"},
		{"twice", "ann-1", "ann-1 ann-1", "[user ID] [user ID]"},
		{"absent", "ann-1", "dial tcp 127.0.0.1:6379: refused", "dial tcp 127.0.0.1:6379: refused"},
		{"within a key", "ann-1", "key user:ann-1:row", "key user:[user ID]:row"},
		{"quoted", "o'neill \"x\" \\ \u2028", fmt.Sprintf("get %q: refused", "o'neill \"x\" \\ \u2028"), `get "[user ID]": refused`},
		{"quoted as ASCII", "γιώργος", fmt.Sprintf("get %+q: refused", "γιώργος"), `get "[user ID]": refused`},
		{"in JSON", "a\"<b>\\c", `get "a\"<b>\\c"`, `get "[user ID]"`},
		{"in a query", "ann@x.org &", "GET /rows?id=" + url.QueryEscape("ann@x.org &"), "GET /rows?id=[user ID]"},
		{"in a path", "ann x/y", "GET /rows/" + url.PathEscape("ann x/y"), "GET /rows/[user ID]"},
		{"cut", long, fmt.Sprintf("get %.64q...: refused", long), `get "[user ID]"...: refused`},
		{"cut short", long, "get " + long[:16], "get [user ID]"},
		{"whole and long", long, "get " + long + ": refused", "get [user ID]: refused"},
		{"short", "1", "dial tcp 10.0.0.7:80", "basket: unavailable: the error's text may have a user ID and is left out"},
		{"short and absent", "x1", "dial tcp 10.0.0.7:80", "dial tcp 10.0.0.7:80"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cause := errors.New(test.text)
			err := fmt.Errorf("%w%w", kindOnly{basket.ErrUnavailable}, cause)
			var kept keptEvents
			ids := serve.WithoutUserIDs()
			ids.ModelLogger(&kept).LogModel(t.Context(), basket.ModelEvent{Result: basket.Result{
				Err: err, Prediction: basket.Prediction{UserID: test.userID, Row: basket.Row{UserID: test.userID}},
			}})
			ids.ServiceLogger(&kept).LogService(t.Context(), basket.ServiceEvent{Method: "POST", UserID: test.userID, Err: err})
			for _, got := range []error{kept.model[0].Err, kept.service[0].Err} {
				if diff := cmp.Diff(test.want, got.Error()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if kind, _ := errors.AsType[basket.Error](got); kind != basket.ErrUnavailable || !errors.Is(got, basket.ErrUnavailable) {
					t.Errorf("kind %q, want %q", kind, basket.ErrUnavailable)
				}
			}
			if e := kept.model[0]; e.UserID != "" || e.Row.UserID != "" || kept.service[0].UserID != "" {
				t.Errorf("the ID is left in %+v or %+v", e, kept.service[0])
			}
		})
	}
}

// kindOnly has a kind and no text.
type kindOnly struct{ error }

func (kindOnly) Error() string   { return "" }
func (k kindOnly) Unwrap() error { return k.error }

// TestUserIDs_outsideRequests: faults of data name users, other faults do not.
func TestUserIDs_outsideRequests(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("basket: %w: row 7 of user %.64q has 3 values: want 4", basket.ErrData, "a\"nn"), "basket: bad data: row 7 of user [left out] has 3 values: want 4"},
		{fmt.Errorf("basket: %w: user \"ann", basket.ErrData), "basket: bad data: user [left out]"},
		{errors.New(`open "x": no such file`), `open "x": no such file`},
		{nil, ""},
	} {
		var kept keptEvents
		hashUserIDs(t).ServiceLogger(&kept).LogService(t.Context(), basket.ServiceEvent{Message: "reload", Err: test.err})
		got := ""
		if err := kept.service[0].Err; err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// A quotingStore fails with errors that quote the user ID.
type quotingStore struct{ format string }

func (s quotingStore) Features() []string { return basket.FeatureNames() }
func (s quotingStore) Row(_ context.Context, userID string) (basket.Row, error) {
	if strings.HasPrefix(userID, "panic") {
		panic(fmt.Sprintf(s.format, userID))
	}
	return basket.Row{}, fmt.Errorf(s.format, userID)
}

// TestUserIDs_doNotLeak: whatever a store says, no log has the user ID.
func TestUserIDs_doNotLeak(t *testing.T) {
	model, err := basket.LoadModel("../testdata/models/lightgbm-constant/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	type logger interface {
		basket.ServiceLogger
		basket.ModelLogger
	}
	newLogger := map[string]func(*bytes.Buffer) logger{
		"text": func(b *bytes.Buffer) logger { return serve.NewTextLogger(b) },
		"json": func(b *bytes.Buffer) logger { return serve.NewJSONLogger(b) },
	}
	secrets := []string{"ann-0123456789-secret", "o'neill \"x\" \\ γ|", "panic-0123456789"}
	for _, format := range []string{"get %s: refused", "get %q: refused", "get %+q: refused", "get %.20q: refused"} {
		for form, newLogger := range newLogger {
			for name, ids := range map[string]serve.UserIDs{"hash": hashUserIDs(t), "none": serve.WithoutUserIDs()} {
				var b, plain bytes.Buffer
				l, plainLogger := newLogger(&b), newLogger(&plain)
				p, err := basket.New(basket.WithStore(quotingStore{format}), basket.WithModel(model),
					basket.WithServiceLogger(ids.ServiceLogger(l)), basket.WithModelLogger(ids.ModelLogger(l)),
					basket.WithServiceLogger(plainLogger), basket.WithModelLogger(plainLogger))
				if err != nil {
					t.Fatal(err)
				}
				h := basket.NewHandler(p)
				for _, userID := range secrets {
					for path, body := range map[string]string{"/predict": `{"user_id":%s}`, "/predict?explain=true": `{"user_id":%s}`, "/predict/batch": `{"user_ids":[%s]}`} {
						w := httptest.NewRecorder()
						h.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(fmt.Sprintf(body, strconv.Quote(userID)))))
						if w.Code != 503 {
							t.Fatalf("%s: %d %s", path, w.Code, w.Body)
						}
					}
				}
				for _, part := range []string{"ann-0123456789", "neill", "panic-0123456789"} {
					if strings.Contains(b.String(), part) {
						t.Errorf("%s, %s, %s: the log has %q:\n%s", form, name, format, part, b.String())
					}
					if !strings.Contains(plain.String(), part) {
						t.Errorf("%s: the plain log has no %q, so that this test finds nothing", form, part)
					}
				}
				if !strings.Contains(b.String(), "refused") {
					t.Errorf("%s, %s: the log does not tell the cause:\n%s", form, name, b.String())
				}
				if n := strings.Count(b.String(), hashUserIDs(t)(secrets[0])); name == "hash" && n != 3 {
					t.Errorf("%s: %d lines of a user have the hash, want 3:\n%s", form, n, b.String())
				}
			}
		}
	}
}

// TestUserIDs_lines shows the lines of both forms.
func TestUserIDs_lines(t *testing.T) {
	e := basket.ModelEvent{Time: localDay(14, 18, 7), Result: basket.Result{Err: basket.ErrUserNotFound, Prediction: basket.Prediction{UserID: "ann"}}}
	for _, test := range []struct {
		ids        serve.UserIDs
		text, json string
	}{
		{hashUserIDs(t), "user_id=3c95869206c275396e3b879a4284d0fc |", `"user_id":"3c95869206c275396e3b879a4284d0fc",`},
		{serve.WithoutUserIDs(), "user_id=- |", `"msg":"prediction failed","route"`},
	} {
		var text, json bytes.Buffer
		test.ids.ModelLogger(serve.NewTextLogger(&text)).LogModel(t.Context(), e)
		test.ids.ModelLogger(serve.NewJSONLogger(&json)).LogModel(t.Context(), e)
		if !strings.Contains(text.String(), test.text) || !strings.Contains(json.String(), test.json) {
			t.Errorf("%s%s: want %s and %s", text.String(), json.String(), test.text, test.json)
		}
	}
}

// FuzzUserIDs: an error that quotes the ID is logged without it.
func FuzzUserIDs(f *testing.F) {
	f.Add("ann-1", "get ", ": refused")
	f.Add("a\"\\\n γ", "", "")
	f.Add("x", "ax", "xx")
	f.Fuzz(func(t *testing.T, userID, before, after string) {
		if userID == "" || strings.Contains("basket: unavailable: the error's text may have a user ID and is left out [user ID]", userID) {
			return
		}
		for _, quoted := range []string{userID, strconv.Quote(userID)} {
			var kept keptEvents
			serve.WithoutUserIDs().ServiceLogger(&kept).LogService(t.Context(), basket.ServiceEvent{
				Method: "POST", UserID: userID, Err: fmt.Errorf("%w%s", kindOnly{basket.ErrUnavailable}, before+quoted+after),
			})
			// A mark may complete the ID with the text around it: that is no leak.
			for _, part := range strings.Split(kept.service[0].Err.Error(), "[user ID]") {
				if strings.Contains(part, userID) {
					t.Errorf("%q has %q", part, userID)
				}
			}
		}
	})
}

func BenchmarkHashUserIDs(b *testing.B) {
	ids := hashUserIDs(b)
	b.ReportAllocs()
	for b.Loop() {
		ids("0cad47d6c469dc763adb1d206463099d")
	}
}
