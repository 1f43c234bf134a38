package basket

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A Route gives a share of the users to a model: a canary is a small weight,
// an A/B test two weights, a shadow a model that runs but never answers.
type Route struct {
	Name   string
	Model  Model
	Weight int  // share of users, relative to the other routes; 0 is none
	Shadow bool // run and log for every user, never answer; Weight must be 0
}

// routeShare returns the place of a user among total shares, from 0: the first
// eight bytes of the SHA-256 of experiment, a zero byte and user ID, as a
// big-endian number, modulo total. The routes take their shares of it in order,
// so a user stays on a route as long as experiment and weights do, and an
// analyst can repeat it in any language:
//
//	int.from_bytes(hashlib.sha256(experiment + b"\0" + user_id).digest()[:8], "big") % total
func routeShare(experiment, userID string, total uint64) uint64 {
	var few [256]byte
	text := append(few[:0], experiment...)
	text = append(text, 0)
	text = append(text, userID...)
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8]) % total
}

// checkRoutes returns every fault of the routes but those of their models.
func checkRoutes(routes []Route) []error {
	var faults []error
	names := map[string]bool{}
	answering := false
	for i, r := range routes {
		switch {
		case r.Name == "":
			faults = append(faults, fmt.Errorf("basket: route %d has no name", i))
		case names[r.Name]:
			faults = append(faults, fmt.Errorf("basket: two routes are named %q", r.Name))
		}
		names[r.Name] = true
		switch {
		case r.Shadow && r.Weight != 0:
			faults = append(faults, fmt.Errorf("basket: route %q is a shadow and has weight %d: want weight 0, for a shadow never answers", r.Name, r.Weight))
		case r.Weight < 0:
			faults = append(faults, fmt.Errorf("basket: route %q has weight %d: want 0 or more", r.Name, r.Weight))
		}
		answering = answering || r.Weight > 0
	}
	if !answering {
		faults = append(faults, errors.New("basket: no route has a weight: want at least one that answers"))
	}
	return faults
}
