package serve_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

// mustKey returns a new key and its line.
func mustKey(t testing.TB, name string, role serve.Role) (key, line string) {
	t.Helper()
	key, line, err := serve.NewKey(name, role)
	if err != nil {
		t.Fatal(err)
	}
	return key, line
}

func mustKeys(t testing.TB, lines ...string) *serve.Keys {
	t.Helper()
	k, err := serve.ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestAuthenticate is the table of credentials, and what each may do.
func TestAuthenticate(t *testing.T) {
	shop, shopLine := mustKey(t, "shop", serve.User)
	ops, opsLine := mustKey(t, "ops", serve.Admin)
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := serve.IdentityOf(r.Context())
		fmt.Fprintf(w, "%s %s", id.Name, id.Role)
	})
	mux := http.NewServeMux()
	mux.Handle("/", who)
	mux.Handle("/admin/", serve.RequireRole(serve.Admin)(who))
	free := func(r *http.Request) bool { return r.URL.Path == "/status" }
	h := serve.Authenticate(free, mustKeys(t, "# keys", shopLine, "", opsLine))(mux)

	basic := func(password string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth("any", password)
		return r.Header.Get("Authorization")
	}
	const unauthorized, forbidden = `{"detail":"Unauthorized"}` + "\n", `{"detail":"Forbidden"}` + "\n"
	tests := []struct {
		name, path, header, value string
		status                    int
		want                      string
	}{
		{"Bearer", "/predict", "Authorization", "Bearer " + shop, 200, "shop user"},
		{"bearer", "/predict", "Authorization", "bearer  " + shop, 200, "shop user"},
		{"X-API-Key", "/predict", "X-API-Key", shop, 200, "shop user"},
		{"Basic", "/predict", "Authorization", basic(shop), 200, "shop user"},
		{"admin", "/admin/routes", "X-API-Key", ops, 200, "ops admin"},
		{"admin predicts", "/predict", "X-API-Key", ops, 200, "ops admin"},
		{"free", "/status", "", "", 200, " "},
		{"free with a key", "/status", "X-API-Key", ops, 200, "ops admin"},
		{"free with a wrong key", "/status", "X-API-Key", "wrong", 200, " "},

		{"none", "/predict", "", "", 401, unauthorized},
		{"empty", "/predict", "Authorization", "Bearer ", 401, unauthorized},
		{"wrong", "/predict", "Authorization", "Bearer " + shop[:len(shop)-1] + "x", 401, unauthorized},
		{"longer", "/predict", "Authorization", "Bearer " + shop + "x", 401, unauthorized},
		{"the hash", "/predict", "X-API-Key", strings.Split(shopLine, ":")[1], 401, unauthorized},
		{"another scheme", "/predict", "Authorization", "Digest " + shop, 401, unauthorized},
		{"damaged Basic", "/predict", "Authorization", "Basic !", 401, unauthorized},
		{"none for admin", "/admin/routes", "", "", 401, unauthorized},
		{"no admin", "/admin/routes", "X-API-Key", shop, 403, forbidden},
		{"of the other protocol", "/v2/models/m/infer", "", "", 401, `{"error":"Unauthorized"}` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", test.path, nil)
			if test.header != "" {
				r.Header.Set(test.header, test.value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.status || w.Body.String() != test.want {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, test.status, test.want)
			}
			if asks := len(w.Header().Values("WWW-Authenticate")) == 2; asks != (w.Code == 401) {
				t.Errorf("WWW-Authenticate %q", w.Header().Values("WWW-Authenticate"))
			}
		})
	}
}

func TestParseKeys_refuses(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	tests := map[string]struct{ text, want string }{
		"no keys":      {"\n# none\n", "no keys: want a line NAME:SHA256 for each"},
		"no hash":      {"shop", `line 1: the hash of "shop" is not 64 hexadecimal digits, as a SHA-256 is`},
		"short hash":   {"shop:" + hash[2:], `line 1: the hash of "shop" is not 64 hexadecimal digits, as a SHA-256 is`},
		"long hash":    {"shop:" + hash + "00", `line 1: the hash of "shop" is not 64 hexadecimal digits, as a SHA-256 is`},
		"not hex":      {"shop:" + "x" + hash[1:], `line 1: the hash of "shop" is not 64 hexadecimal digits, as a SHA-256 is`},
		"no name":      {":" + hash, "line 1: the name is missing: want NAME:SHA256 or NAME:SHA256:ROLE"},
		"space":        {"my shop:" + hash, "line 1: the name has a space or a character that cannot be printed: want NAME:SHA256 or NAME:SHA256:ROLE"},
		"unknown role": {"shop:" + hash + ":root", `line 1: the role of "shop": want "user" or "admin"`},
		"two faults":   {"a:1\nb:" + hash + "\n\nc:2", "line 1: the hash of \"a\" is not 64 hexadecimal digits, as a SHA-256 is\nline 4: the hash of \"c\" is not 64 hexadecimal digits, as a SHA-256 is"},
		"a key twice":  {"a:" + hash + "\n#\nb:" + hash + ":admin", `line 3: the key of "b" is that of line 1: want each key once`},
		"long name":    {strings.Repeat("x", 129) + ":" + hash, "line 1: the name is longer than 128 bytes: want NAME:SHA256 or NAME:SHA256:ROLE"},
		"too many":     {numberedKeys(1001), "1001 keys: want at most 1000"},
		"many faults":  {strings.Repeat(":\n", 12), strings.Repeat("line %d: the name is missing: want NAME:SHA256 or NAME:SHA256:ROLE\n", 10) + "and 2 more"},
		"too long":     {strings.Repeat("#", 1<<20+1), "keys of over 1048576 bytes: want at most that"},
	}
	for name, test := range tests {
		if strings.Contains(test.want, "%d") {
			test.want = fmt.Sprintf(test.want, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		}
		if _, err := serve.ParseKeys([]byte(test.text)); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if _, err := serve.ParseKeys([]byte("bk_SECRETSECRETSECRET")); err == nil || strings.Contains(err.Error(), ":SECRET") {
		t.Errorf("a key in place of a line: %v", err)
	}
}

// numberedKeys returns n lines of different keys.
func numberedKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a:%064x\n", i)
	}
	return b.String()
}

// TestParseKeyList: one string, as in an environment variable, holds several keys.
func TestParseKeyList(t *testing.T) {
	shop, shopLine := mustKey(t, "shop", serve.User)
	ops, opsLine := mustKey(t, "ops", serve.Admin)
	for _, list := range []string{shopLine + "," + opsLine, shopLine + "\n" + opsLine + "\n", " " + shopLine + " , # ops\r\n" + opsLine + ","} {
		k, err := serve.ParseKeyList(list)
		if err != nil {
			t.Errorf("%q: %v", list, err)
			continue
		}
		for key, want := range map[string]serve.Identity{shop: {Name: "shop", Role: serve.User}, ops: {Name: "ops", Role: serve.Admin}} {
			if got, err := k.Authenticate(t.Context(), key); err != nil || got != want {
				t.Errorf("%q: %v, %v, want %v", list, got, err, want)
			}
		}
	}
	_, err := serve.ParseKeyList(shopLine + ",ops")
	if want := `line 2: the hash of "ops" is not 64 hexadecimal digits, as a SHA-256 is`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestCheckName: names stand in logs.
func TestCheckName(t *testing.T) {
	for _, good := range []string{"shop", "auth0|5f7c8ec7c33c6c004bbafe82", "system:serviceaccount:prices:basket", "günther@example.com", strings.Repeat("x", 128)} {
		if err := serve.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a b", "a\nERROR", "a\x1b[2J", "a\u202eb", "a\xff", strings.Repeat("x", 129)} {
		if serve.CheckName(bad) == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// FuzzParseKeys: no text panics, and what is accepted has usable names and roles.
func FuzzParseKeys(f *testing.F) {
	f.Add("shop:"+strings.Repeat("0a", 32)+":admin\n# none\n", "x")
	f.Add("a:\n:b", "")
	f.Fuzz(func(t *testing.T, text, credential string) {
		hash := sha256.Sum256([]byte(credential))
		keys, err := serve.ParseKeys([]byte(text + "\nadded:" + hex.EncodeToString(hash[:])))
		if err != nil {
			return
		}
		id, err := keys.Authenticate(t.Context(), credential)
		if err != nil || id != (serve.Identity{Name: "added", Role: serve.User}) {
			t.Errorf("%v, %v", id, err)
		}
	})
}

func TestNewKey_refuses(t *testing.T) {
	for name, role := range map[string]serve.Role{"": serve.User, "a:b": serve.User, "a b": serve.Admin, strings.Repeat("x", 129): serve.User, "x": "root"} {
		if key, line, err := serve.NewKey(name, role); err == nil {
			t.Errorf("%q, %q: key %s, line %s", name, role, key, line)
		}
	}
	a, _ := mustKey(t, "a", serve.User)
	b, _ := mustKey(t, "a", serve.User)
	if a == b || len(a) < 50 {
		t.Errorf("keys %s and %s", a, b)
	}
}

// TestKeys_Watch: a changed file is used once it has settled; one that is damaged or
// missing keeps the old keys and is reported once.
func TestKeys_Watch(t *testing.T) {
	first, firstLine := mustKey(t, "first", serve.User)
	second, secondLine := mustKey(t, "second", serve.User)
	path := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(firstLine)
	k, err := serve.LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	write(secondLine) // between LoadKeys and Watch
	synctest.Test(t, func(t *testing.T) {
		var reports []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- k.Watch(ctx, path, time.Second, func(err error) {
				text := strings.ReplaceAll(fmt.Sprint(err), path, "keys")
				reports = append(reports, text)
			})
		}()
		accepts := func(when, key string, want bool) {
			t.Helper()
			if _, err := k.Authenticate(ctx, key); (err == nil) != want || err != nil && !errors.Is(err, serve.ErrCredential) {
				t.Errorf("%s: %v, want accepted: %t", when, err, want)
			}
		}
		accepts("at first", first, true)
		time.Sleep(5 * time.Second)
		accepts("changed before Watch", first, false)
		accepts("changed before Watch", second, true)
		write(firstLine + "\nx:")
		time.Sleep(5 * time.Second)
		accepts("damaged", second, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		accepts("missing", second, true)
		write(firstLine)
		time.Sleep(5 * time.Second)
		accepts("back", first, true)
		accepts("back", second, false)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
		want := []string{
			"<nil>", `serve: keys: line 2: the hash of "x" is not 64 hexadecimal digits, as a SHA-256 is`,
			"open keys: no such file or directory", "<nil>",
		}
		if diff := cmp.Diff(want, reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

// TestKeys_reloadUnderLoad: no request fails while the file of keys is read
// again a thousand times.
func TestKeys_reloadUnderLoad(t *testing.T) {
	shop, shopLine := mustKey(t, "shop", serve.User)
	path := filepath.Join(t.TempDir(), "keys")
	write := func(i int) {
		_, other := mustKey(t, fmt.Sprint("other-", i), serve.Admin)
		if err := os.WriteFile(path+".new", []byte(other+"\n"+shopLine), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	k, err := serve.LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	reloads := make(chan error, 1)
	others.Go(func() { _ = k.Watch(ctx, path, time.Millisecond/4, func(err error) { reloads <- err }) })
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				if id, err := k.Authenticate(ctx, shop); err != nil || id.Name != "shop" {
					t.Errorf("%v, %v", id, err)
					return
				}
			}
		})
	}
	n := 1000
	if testing.Short() {
		n = 50
	}
	for i := range n {
		write(i + 1)
		if err := <-reloads; err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	others.Wait()
}

// BenchmarkKeys compares a right key, the first and the last of a hundred, with a
// wrong one.
func BenchmarkKeys(b *testing.B) {
	var lines []string
	keys := map[string]string{"wrong": "bk_" + strings.Repeat("A", 52)}
	for i := range 100 {
		key, line := mustKey(b, fmt.Sprint("key-", i), serve.User)
		lines = append(lines, line)
		switch i {
		case 0:
			keys["first"] = key
		case 99:
			keys["last"] = key
		}
	}
	k := mustKeys(b, lines...)
	for _, name := range []string{"first", "last", "wrong"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = k.Authenticate(b.Context(), keys[name])
			}
		})
	}
}
