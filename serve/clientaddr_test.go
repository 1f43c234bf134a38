package serve_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/basket-go/basket/serve"
)

// clientAddress returns the address of a request's client.
func clientAddress(t testing.TB, header string, peer string, lines []string, trusted ...netip.Prefix) netip.Addr {
	t.Helper()
	wrap, err := serve.ClientAddress(header, trusted)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	r.Header[header] = lines
	var got netip.Addr
	wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = serve.ClientAddressOf(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	return got
}

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}

func TestClientAddress(t *testing.T) {
	const x, f, proxy = "X-Forwarded-For", "Forwarded", "10.0.0.1:4000"
	tests := []struct {
		name, header, peer string
		lines              []string
		want               string
	}{
		{"no proxy", x, "192.0.2.1:4000", nil, "192.0.2.1"},
		{"no proxy, but its word", x, "192.0.2.1:4000", []string{"198.51.100.1"}, "192.0.2.1"},
		{"mapped peer", x, "[::ffff:192.0.2.1]:4000", nil, "192.0.2.1"},
		{"link-local peer", x, "[fe80::1%eth0]:4000", nil, "fe80::1"},
		{"Unix socket", x, "@", []string{"198.51.100.1"}, "invalid IP"},

		{"proxy without a word", x, proxy, nil, "10.0.0.1"},
		{"proxy", x, proxy, []string{"198.51.100.1"}, "198.51.100.1"},
		{"mapped proxy", x, "[::ffff:10.0.0.1]:4000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"IPv6", x, "[2001:db8:1::1]:4000", []string{"2001:db8:2::1"}, "2001:db8:2::1"},
		{"invented by the client", x, proxy, []string{"203.0.113.1, 198.51.100.1"}, "198.51.100.1"},
		{"invented in another line", x, proxy, []string{"203.0.113.1", "198.51.100.1"}, "198.51.100.1"},
		{"garbage of the client", x, proxy, []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", x, proxy, []string{"203.0.113.1, 198.51.100.1, 10.2.3.4"}, "198.51.100.1"},
		{"only proxies", x, proxy, []string{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},
		{"with ports", x, proxy, []string{"[2001:db8:2::1]:99,198.51.100.1:99,  10.2.3.4:99"}, "198.51.100.1"},
		{"in brackets", x, proxy, []string{"[2001:db8:2::1]"}, "2001:db8:2::1"},
		{"malformed", x, proxy, []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"malformed behind a proxy", x, proxy, []string{"198.51.100, 10.2.3.4"}, "10.0.0.1"},
		{"empty", x, proxy, []string{""}, "10.0.0.1"},
		{"too long", x, proxy, []string{strings.Repeat("203.0.113.1, ", 1000) + "198.51.100.1"}, "10.0.0.1"},

		{"Forwarded", f, proxy, []string{"for=198.51.100.1"}, "198.51.100.1"},
		{"Forwarded, all fields", f, proxy, []string{`proto=https; For="198.51.100.1:99";by=10.0.0.1;host="shop;a,b"`}, "198.51.100.1"},
		{"Forwarded, IPv6", f, proxy, []string{`for="[2001:db8:2::1]:4711"`}, "2001:db8:2::1"},
		{"Forwarded, invented", f, proxy, []string{"for=203.0.113.1, for=198.51.100.1, for=10.2.3.4"}, "198.51.100.1"},
		{"Forwarded, hidden", f, proxy, []string{"for=198.51.100.1, for=_hidden"}, "10.0.0.1"},
		{"Forwarded, none in the last", f, proxy, []string{"for=203.0.113.1, by=10.0.0.1"}, "10.0.0.1"},
		{"Forwarded, open quote of the client", f, proxy, []string{`for=203.0.113.1;x=", for=198.51.100.1;by="_a"`}, "10.0.0.1"},
		{"Forwarded, open element of the client", f, proxy, []string{"for=203.0.113.1;, for=198.51.100.1"}, "10.0.0.1"},
		{"Forwarded, two in one", f, proxy, []string{"for=203.0.113.1;for=198.51.100.1"}, "10.0.0.1"},
		{"Forwarded, escape", f, proxy, []string{`for="198.51.100.\1"`}, "10.0.0.1"},
		{"Forwarded, no value", f, proxy, []string{"for="}, "10.0.0.1"},
		{"Forwarded, no name", f, proxy, []string{"198.51.100.1"}, "10.0.0.1"},
	}
	for _, test := range tests {
		if got := clientAddress(t, test.header, test.peer, test.lines, proxies...); got.String() != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

func TestClientAddress_refuses(t *testing.T) {
	_, err := serve.ClientAddress("X-Real-IP", []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/8")})
	want := "serve: client address from the header \"X-Real-IP\": want X-Forwarded-For or Forwarded\n" +
		"serve: trusted proxy invalid Prefix: want a network, such as 10.0.0.0/8, that does not hold every address\n" +
		"serve: trusted proxy 0.0.0.0/0: want a network, such as 10.0.0.0/8, that does not hold every address"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// FuzzClientAddress: whatever a client sends before it, the address that the proxy adds
// in a line of its own is used, and never one that the client made up.
func FuzzClientAddress(f *testing.F) {
	f.Add("203.0.113.1", false)
	f.Add(`for="[2001:db8::1]:47";by=_x, for=unknown`, true)
	f.Add(`for=203.0.113.1;x="`, true)
	f.Fuzz(func(t *testing.T, sent string, rfc bool) {
		header, added := "X-Forwarded-For", "198.51.100.1"
		if rfc {
			header, added = "Forwarded", "for=198.51.100.1"
		}
		if got := clientAddress(t, header, "10.0.0.1:1", []string{sent, added}, proxies...); got.String() != "198.51.100.1" {
			t.Errorf("%q in a line before: %v", sent, got)
		}
		if got := clientAddress(t, header, "10.0.0.1:1", []string{sent + ", " + added}, proxies...); got.String() != "198.51.100.1" && got.String() != "10.0.0.1" {
			t.Errorf("%q before: %v", sent, got)
		}
		if got := clientAddress(t, header, "192.0.2.1:1", []string{sent}, proxies...); got.String() != "192.0.2.1" {
			t.Errorf("%q from a client: %v", sent, got)
		}
	})
}
