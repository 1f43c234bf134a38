package basket

// An Error is a kind of failure that callers branch on with [errors.Is].
// Its few values are fit for a metric label:
// errors.AsType[basket.Error](err) finds the kind of any error of this package.
type Error string

// The kinds of failure.
const (
	ErrInvalidRequest  Error = "invalid request"  // the caller's fault: a user ID that is empty, too long or not UTF-8
	ErrUserNotFound    Error = "user not found"   // no feature row
	ErrPrediction      Error = "prediction error" // the model failed, or its answer is not a finite number
	ErrUnavailable     Error = "unavailable"      // the store or a model is not there just now; may be retried
	ErrFeatureMismatch Error = "feature mismatch" // the model wants what the store lacks
	ErrModelFormat     Error = "bad model"        // unknown, unsupported or damaged model bytes
	ErrData            Error = "bad data"         // orders, regulars or inventory that cannot be used
)

// Error returns the kind's name.
func (e Error) Error() string { return string(e) }
