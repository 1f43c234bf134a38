package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc"
	"github.com/basket-go/basket/serve"
	"go.opentelemetry.io/otel/attribute"
)

// limitSettings bound what clients can ask for.
type limitSettings struct {
	RateLimit float64 `type:"setting" positive:"" placeholder:"N" help:"Requests a second of each API key, or of each address without one (default: no limit)."`
	RateBurst int     `type:"setting" positive:"" placeholder:"N" help:"Requests that may come at once (default: two seconds of --rate-limit)."`

	MaxConcurrent int           `type:"setting" positive:"" placeholder:"N" help:"Requests that are worked on at a time (default: no limit)."`
	MaxQueued     int           `type:"setting" positive:"" placeholder:"N" help:"Requests that may wait for one of --max-concurrent (default: half of it); more are refused at once."`
	QueueTime     time.Duration `type:"setting" positive:"" placeholder:"TIME" help:"How long a request may wait (default 100ms)."`

	Timeout      time.Duration `type:"setting" positive:"" placeholder:"TIME" help:"Time limit of a whole request (default: none)."`
	StoreTimeout time.Duration `type:"setting" positive:"" placeholder:"TIME" help:"Time limit of a look-up in the store (default: none)."`

	MaxBody      int `type:"setting" positive:"" initial:"65536" placeholder:"BYTES" help:"Longest body of a request for one user (default 65536)."`
	MaxBatch     int `type:"setting" positive:"" initial:"10000" placeholder:"N" help:"Most users of a batch (default 10000)."`
	MaxBatchBody int `type:"setting" positive:"" initial:"16777216" placeholder:"BYTES" help:"Longest body of a batch (default 16777216)."`

	TLSCert string `name:"tls-cert" type:"setting" placeholder:"FILE" help:"Certificate, in PEM with its chain, to serve HTTPS by; read again when it changes. Needs --tls-key."`
	TLSKey  string `name:"tls-key" type:"setting" placeholder:"FILE" help:"Private key of --tls-cert."`

	TrustedProxies []string `type:"setting" placeholder:"CIDR,..." help:"Addresses of proxies that tell a client's address, such as 10.0.0.0/8. Without it the address of the connection counts."`
	ProxyHeader    string   `type:"setting" oneof:"X-Forwarded-For,Forwarded" placeholder:"NAME" help:"Header in which they tell it: X-Forwarded-For (default) or Forwarded."`
}

// limits are the parts that the settings ask for, from the innermost to the outermost;
// nil if not asked for.
type limits struct {
	concurrency *serve.Concurrency
	rate        *serve.RateLimit
	readBody    func(http.Handler) http.Handler
	timeout     func(http.Handler) http.Handler
	address     func(http.Handler) http.Handler
}

// build returns the parts. Its error joins the faults of all settings.
func (c *limitSettings) build() (l limits, err error) {
	var faults []error
	fault := func(err error) { faults = append(faults, err) }
	if c.RateLimit > 0 {
		burst := c.RateBurst
		if burst == 0 {
			burst = int(math.Ceil(2 * min(c.RateLimit, 1e9)))
		}
		l.rate, err = serve.NewRateLimit(c.RateLimit, burst)
		fault(err)
	} else if c.RateBurst > 0 {
		fault(errors.New("--rate-burst is of --rate-limit: give that, or leave it out"))
	}
	if c.MaxConcurrent > 0 {
		queue := c.MaxQueued
		if queue == 0 {
			queue = (c.MaxConcurrent + 1) / 2
		}
		l.concurrency, err = serve.NewConcurrency(c.MaxConcurrent, queue, cmp.Or(c.QueueTime, 100*time.Millisecond))
		fault(err)
		l.readBody, err = serve.ReadBody(int64(max(c.MaxBody, c.MaxBatchBody)))
		fault(err)
	} else if c.MaxQueued > 0 || c.QueueTime > 0 {
		fault(errors.New("--max-queued and --queue-time are of --max-concurrent: give that, or leave them out"))
	}
	if c.Timeout > 0 {
		l.timeout, err = serve.Timeout(c.Timeout)
		fault(err)
	}
	if len(c.TrustedProxies) > 0 {
		var trusted []netip.Prefix
		for _, text := range c.TrustedProxies {
			prefix, err := netip.ParsePrefix(text)
			if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
				prefix, err = addr.Prefix(addr.BitLen())
			}
			if err != nil {
				fault(fmt.Errorf("--trusted-proxies %q: want an address, or a range such as 10.0.0.0/8", text))
				continue
			}
			trusted = append(trusted, prefix)
		}
		l.address, err = serve.ClientAddress(cmp.Or(c.ProxyHeader, "X-Forwarded-For"), trusted)
		fault(err)
	} else if c.ProxyHeader != "" {
		fault(errors.New("--proxy-header is of --trusted-proxies: give that, or leave it out"))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault(errors.New("one of --tls-cert and --tls-key: give both"))
	}
	return l, errors.Join(faults...)
}

// wrap puts the limits that come behind authentication around a handler. Requests that
// need no key are not limited.
func (l *limits) wrap(next http.Handler) http.Handler {
	var h http.Handler = next
	if l.concurrency != nil {
		h = l.readBody(serve.Except(free, l.concurrency.Wrap)(h))
	}
	if l.timeout != nil {
		h = l.timeout(h)
	}
	if l.rate != nil {
		h = serve.Except(free, l.rate.Wrap)(h)
	}
	return h
}

// observe adds the metrics of the limits.
func (l *limits) observe(t *serverTelemetry) {
	const refused, refusedText = "basket.requests.refused", "Requests that a limit refused."
	if l.rate != nil {
		t.Counter(refused, refusedText, "{request}", l.rate.Refused, attribute.String("basket.limit", "rate"))
	}
	if l.concurrency != nil {
		t.Counter(refused, refusedText, "{request}", l.concurrency.Refused, attribute.String("basket.limit", "concurrency"))
		t.Gauge("basket.requests.queued", "Requests that wait for others to end.", "{request}", func() float64 { return float64(l.concurrency.Queued()) })
	}
}

// free says which requests need no key, and are not limited.
func free(r *http.Request) bool {
	return slices.Contains(freePaths, r.URL.Path) || slices.Contains(freeMethods, r.URL.Path)
}

// freeMethods are the paths of the calls over gRPC that need no key.
var freeMethods = basketgrpc.FreeMethods()

// freePaths are the paths of requests that need no key.
var freePaths = append([]string{"/status", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}, slices.Sorted(maps.Keys(documents()))...)

// limitedStore returns the store with the time limit of the settings.
func (c *limitSettings) limitedStore(store basket.Store) (basket.Store, error) {
	if c.StoreTimeout == 0 {
		return store, nil
	}
	return basket.LimitStore(store, c.StoreTimeout)
}

// loadCertificate loads the certificate, if one is given, and follows its changes.
func (s *server) loadCertificate(ctx context.Context) error {
	if s.Limits.TLSCert == "" {
		return nil
	}
	certificate, err := serve.LoadCertificate(s.Limits.TLSCert, s.Limits.TLSKey)
	if err != nil {
		return err
	}
	s.tls = certificate.TLSConfig()
	s.follow(ctx, "tls", "certificate", func(ctx context.Context, report func(error)) error {
		return certificate.Watch(ctx, watchInterval, report)
	})
	s.telemetry.Gauge("basket.certificate.remaining", "Time until the certificate expires.", "s", func() float64 {
		return time.Until(certificate.NotAfter()).Seconds()
	})
	return nil
}

// follow runs what follows the changes of a part of the server until ctx is done, and
// tells them by log, metric and a check of readiness.
func (s *server) follow(ctx context.Context, part, what string, watch func(context.Context, func(error)) error) {
	count := s.reloads(part)
	var mu sync.Mutex
	var fault error
	s.checks = append(s.checks, serve.Check{Name: part, Do: func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		return degraded(fault)
	}})
	s.background.Go(func() {
		_ = watch(ctx, func(err error) {
			count(err)
			mu.Lock()
			fault = err
			mu.Unlock()
			if err != nil {
				s.logEvent("Failed to reload the "+what+"; what was loaded before is used", err)
				return
			}
			s.logEvent("The "+what+" has been read again", nil)
		})
	})
}
