package serve_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// A server that stays fast under overload: the outermost part is the last.
func ExampleConcurrency() {
	// Settings that make no sense are errors, which a program tells at its start.
	must := func(wrap func(http.Handler) http.Handler, err error) func(http.Handler) http.Handler {
		if err != nil {
			log.Fatal(err)
		}
		return wrap
	}
	rate, err := serve.NewRateLimit(1, 2) // of each caller: one a second, two at once
	if err != nil {
		log.Fatal(err)
	}
	concurrency, err := serve.NewConcurrency(8, 4, 100*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	isProbe := func(r *http.Request) bool { return r.URL.Path == "/livez" || r.URL.Path == "/readyz" }

	h := basket.NewHandler(newPredictor())
	h = serve.Except(isProbe, concurrency.Wrap)(h)
	h = must(serve.ReadBody(64 << 10))(h)
	h = must(serve.Timeout(2 * time.Second))(h)
	h = serve.Except(isProbe, rate.Wrap)(h)
	// Here comes Authenticate.
	h = must(serve.ClientAddress("X-Forwarded-For", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}))(h)
	h = serve.SecurityHeaders(h)

	for range 3 {
		r := httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"nobody"}`))
		r.RemoteAddr = "10.0.0.1:40000"
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()), w.Header().Get("RateLimit"))
	}
	// Output:
	// 404 {"detail":"User not found"} "default";r=1;t=1
	// 404 {"detail":"User not found"} "default";r=0;t=2
	// 429 {"detail":"Too many requests"} "default";r=0;t=1
}

// A certificate that is replaced while the server runs.
func ExampleCertificate() {
	certificate, err := serve.LoadCertificate("tls.crt", "tls.key")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := serve.NewServer(nil)
	server.TLSConfig = certificate.TLSConfig()
	// go certificate.Watch(ctx, 10*time.Second, report)
	// serve.Run(ctx, server, listener, serve.Drain(listener.Addr()))

	// Output:
	// open tls.crt: no such file or directory
	// open tls.key: no such file or directory
}
