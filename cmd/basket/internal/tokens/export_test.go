package tokens

import "time"

// SetLookInterval makes Watch look at a file more often than each second.
func (v *Verifier) SetLookInterval(d time.Duration) { v.look = d }
