package basket

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/basket-go/basket/internal/libm"
)

// A Route gives a share of the users to a model: a canary is a route of small
// weight, an A/B test is two routes, a shadow is a model that runs but never
// answers.
//
// Weighted rendezvous hashing chooses the route of a user: D. Thaler and C.
// Ravishankar, "Using name-based mappings to increase hit rates", 1998, with the
// weights of C. Schindelhauer and G. Schomaker, "Weighted distributed hash
// tables", 2005. Of each route that has a weight, u is the first eight bytes of
// the SHA-256 of experiment, a zero byte, route name, a zero byte and user ID, as
// a big-endian integer, plus 0.5, divided by 2^64. The route with the least
// -ln(u)/weight answers, the first of equals. In Python:
//
//	def score(experiment, route, weight, user):
//	    d = hashlib.sha256(b"\0".join([experiment, route, user])).digest()
//	    return -math.log((int.from_bytes(d[:8], "big") + 0.5) / 2**64) / weight
//
// A route gets users in proportion to its weight. If a weight grows, its route
// takes users from the others and loses none, and no user moves between the
// others. With one route that has a weight, nothing is hashed.
type Route struct {
	Name   string
	Model  Model
	Weight int // share of users, relative to the other routes; 0 is none

	// Shadow makes the model predict every row that the store returned, for the
	// model loggers alone. It runs after the answer was computed, in the caller's
	// goroutine and before the call returns, so its time adds to the caller's. It
	// does not run if there is no model logger. Weight must be 0.
	Shadow bool
}

// routes are the routes of an experiment; immutable.
type routes struct {
	experiment string
	all        []bound  // in the caller's order
	answer     []*bound // those with a weight
	shadow     []*bound
}

func newRoutes(experiment string, all []bound) *routes {
	rs := &routes{experiment: experiment, all: all}
	for i := range all {
		b := &all[i]
		b.hashed = experiment + "\x00" + b.name + "\x00"
		switch {
		case b.shadow:
			rs.shadow = append(rs.shadow, b)
		case b.weight > 0:
			rs.answer = append(rs.answer, b)
		}
	}
	return rs
}

// choose returns the route that answers a user.
func (rs *routes) choose(userID string) *bound {
	if len(rs.answer) == 1 {
		return rs.answer[0]
	}
	best, least := rs.answer[0], math.Inf(1)
	for _, b := range rs.answer {
		if score := routeScore(b.hashed, userID, b.weight); score < least {
			best, least = b, score
		}
	}
	return best
}

// routeScore returns the score of a route; hashed is what precedes the user ID
// in the hash. The logarithm is libm's, which has the same bits on every machine.
func routeScore(hashed, userID string, weight int) float64 {
	var stack [256]byte
	text := append(append(stack[:0], hashed...), userID...)
	sum := sha256.Sum256(text)
	u := (float64(binary.BigEndian.Uint64(sum[:8])) + 0.5) / (1 << 64)
	return -libm.Log(u) / float64(weight)
}

// checkRoutes returns every fault of the routes except those of their models.
func checkRoutes(list []Route) []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("basket: %w: "+format, append([]any{ErrInvalidConfig}, args...)...))
	}
	names := map[string]bool{}
	total := 0
	for i, r := range list {
		switch {
		case r.Name == "":
			fault("route %d has no name", i)
		case strings.ContainsFunc(r.Name, unicode.IsControl):
			fault("route %d: the name %q has control characters", i, r.Name)
		case names[r.Name]:
			fault("two routes are named %q", r.Name)
		}
		names[r.Name] = true
		switch {
		case r.Shadow && r.Weight != 0:
			fault("route %q is a shadow and has weight %d: want weight 0, because a shadow never answers", r.Name, r.Weight)
		case r.Weight < 0:
			fault("route %q has weight %d: want 0 or more", r.Name, r.Weight)
		case r.Weight > math.MaxInt-total:
			fault("route %q has weight %d: the sum of the weights is over %d: want smaller ones", r.Name, r.Weight, math.MaxInt)
			total = math.MaxInt
		default:
			total += r.Weight
		}
	}
	if total == 0 {
		fault("no route has a weight: want at least one that answers")
	}
	return faults
}
