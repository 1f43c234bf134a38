package serve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A RateLimit limits how often each caller may send a request. A caller is the
// [Identity] of the request, by name, or where there is none its client address, see
// [ClientAddress]; the addresses of one IPv6 network of 64 bits are one caller, and
// so are all clients on a Unix socket. It is safe for concurrent use.
//
// The rule is the generic cell rate algorithm of ITU-T I.371: a caller who was away
// for long may send a burst at once, and then one request each time 1/rate has
// passed. A refused request does not count.
//
// The times of the callers are in a table of fixed size, 18 bytes for each. A caller
// has a place in it until all of its burst has come back, which nobody can take. A
// hash with a random seed gives each caller one of many groups of eight places;
// callers who find their group taken share one more place of that group until one is
// free. So a flood of addresses neither fills the memory nor resets the limit of a
// caller in the table, nor does it lock out new callers: it slows those down whose
// group it has filled, and slows itself down as well.
type RateLimit struct {
	interval int64 // nanoseconds of one request
	burst    int64 // nanoseconds of a burst
	start    time.Time
	policy   []string // the header field
	groups   []callerGroup
	names    maphash.Seed
	addrs    maphash.Seed
	refused  atomic.Int64
}

const groupSize = 8

// A callerGroup is what is known of some callers: when their bursts will be complete
// again, in nanoseconds since start, which I.371 calls the theoretical arrival time.
// Those up to now are of nobody.
type callerGroup struct {
	mu     sync.Mutex
	hashes [groupSize]uint64
	full   [groupSize]int64
	shared int64 // of the callers who have no place
}

// A RateLimitOption configures [NewRateLimit].
type RateLimitOption func(*rateConfig)

type rateConfig struct{ callers int }

// WithCallers sets how many active callers the table has places for, at least; the
// default is 1,048,576, in 18 MB that become resident as callers come.
func WithCallers(n int) RateLimitOption { return func(c *rateConfig) { c.callers = n } }

// The limits of the settings. The longest time for a burst to come back keeps the
// sums of times far from overflow.
const (
	maxRate    = 1e6
	maxBurst   = 1_000_000
	maxCallers = 1 << 28
	maxRefill  = 24 * time.Hour
)

// NewRateLimit returns a limit of perSecond requests a second and caller, of which up
// to burst may come at once. The error joins all faults of the settings; a rate over
// the burst is one, since a caller at that rate would be refused by chance.
func NewRateLimit(perSecond float64, burst int, opts ...RateLimitOption) (*RateLimit, error) {
	c := rateConfig{callers: 1 << 20}
	for _, o := range opts {
		o(&c)
	}
	var faults []error
	if !(perSecond > 0 && perSecond <= maxRate) {
		faults = append(faults, fmt.Errorf("serve: rate limit of %v requests/s: want over 0 and at most %d", perSecond, int(maxRate)))
	}
	if burst < 1 || burst > maxBurst {
		faults = append(faults, fmt.Errorf("serve: burst of %d requests: want 1 to %d", burst, maxBurst))
	}
	if c.callers < 1 || c.callers > maxCallers {
		faults = append(faults, fmt.Errorf("serve: rate limit of %d callers: want 1 to %d", c.callers, maxCallers))
	}
	if len(faults) == 0 && perSecond > float64(burst) {
		faults = append(faults, fmt.Errorf("serve: rate limit of %v requests/s with a burst of %d: want a burst of at least the rate", perSecond, burst))
	}
	if len(faults) == 0 && float64(burst)/perSecond > maxRefill.Seconds() {
		faults = append(faults, fmt.Errorf("serve: burst of %d requests at %v/s: want one that comes back within %v", burst, perSecond, maxRefill))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	groups := 1
	for groups*groupSize < c.callers {
		groups *= 2
	}
	l := &RateLimit{
		interval: int64(math.Round(1e9 / perSecond)), start: time.Now(),
		groups: make([]callerGroup, groups), names: maphash.MakeSeed(), addrs: maphash.MakeSeed(),
	}
	l.burst = int64(burst) * l.interval
	l.policy = []string{fmt.Sprintf(`"default";q=%d;w=%d`, burst, seconds(l.burst))}
	return l, nil
}

// seconds returns nanoseconds in whole seconds, rounded up.
func seconds(ns int64) int64 { return (ns + 1e9 - 1) / 1e9 }

// Wrap passes on the requests within the limit, and answers others by 429 with
// Retry-After. All answers have the fields RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-11: with the policy `"default";q=20;w=2` up to 20
// requests may come in 2 seconds, and `"default";r=5;t=1` says that 5 requests may
// come in the next second.
//
// It belongs behind [Authenticate], to know the client, or in front of it, to count
// requests with bad credentials too, by address.
func (l *RateLimit) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left, wait, ok := l.take(l.hash(r), int64(time.Since(l.start)))
		h := w.Header()
		h["Ratelimit-Policy"] = l.policy
		field := make([]byte, 0, 40)
		field = append(field, `"default";r=`...)
		field = strconv.AppendInt(field, left, 10)
		field = append(field, `;t=`...)
		field = strconv.AppendInt(field, seconds(wait), 10)
		h["Ratelimit"] = []string{string(field)}
		if !ok {
			l.refused.Add(1)
			h["Retry-After"] = []string{strconv.FormatInt(seconds(wait), 10)}
			refuse(w, r, http.StatusTooManyRequests, "Too many requests")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Refused returns the number of requests that were answered by 429.
func (l *RateLimit) Refused() int64 { return l.refused.Load() }

// hash returns the keyed hash of the caller.
func (l *RateLimit) hash(r *http.Request) uint64 {
	if name := IdentityOf(r.Context()).Name; name != "" {
		return maphash.String(l.names, name)
	}
	addr := ClientAddressOf(r.Context())
	if !addr.IsValid() {
		addr = peerAddress(r)
	}
	return l.hashAddress(addr)
}

func (l *RateLimit) hashAddress(addr netip.Addr) uint64 {
	b := addr.As16() // zero for the invalid address, of a Unix socket
	if !addr.Unmap().Is4() {
		binary.BigEndian.PutUint64(b[8:], 0)
	}
	return maphash.Bytes(l.addrs, b[:])
}

// take counts a request at now, in nanoseconds since start. It returns how many more
// may come at once, and the nanoseconds until the burst is complete again, or, if the
// request is refused, until the next one may come.
func (l *RateLimit) take(hash uint64, now int64) (left, wait int64, ok bool) {
	g := &l.groups[hash%uint64(len(l.groups))]
	g.mu.Lock()
	defer g.mu.Unlock()
	place := &g.shared
	for i := range g.full {
		if g.full[i] <= now {
			place = &g.full[i] // free, unless a later one is the caller's own
		} else if g.hashes[i] == hash {
			place = &g.full[i]
			break
		}
	}
	full := max(*place, now) + l.interval
	if full-now > l.burst {
		return 0, full - now - l.burst, false
	}
	*place = full
	for i := range g.full {
		if place == &g.full[i] {
			g.hashes[i] = hash
		}
	}
	return (l.burst - (full - now)) / l.interval, full - now, true
}
