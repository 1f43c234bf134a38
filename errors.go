package basket

// An Error is a kind of failure on which callers branch with [errors.Is]. There
// are few values, so it can be a metric label:
// errors.AsType[basket.Error](err) returns the kind of an error that has one.
type Error string

// The kinds of failure.
const (
	// ErrInvalidRequest is the caller's fault: a user ID that is empty, too long,
	// not UTF-8 or has control characters, or slices whose lengths do not fit.
	ErrInvalidRequest Error = "invalid request"

	// ErrUserNotFound means that the store has no feature row of the user.
	ErrUserNotFound Error = "user not found"

	// ErrStale means that the user's row is older than WithMaxAge allows. Another
	// request has the same answer until the store has a newer row.
	ErrStale Error = "stale row"

	// ErrPrediction means that the model failed, or its prediction is not finite.
	ErrPrediction Error = "prediction error"

	// ErrUnavailable means that the store or a model cannot be reached, or ran out
	// of time; the request may be retried.
	ErrUnavailable Error = "unavailable"

	// ErrCanceled means that the caller's context was canceled before there was an
	// answer, which is no failure of the service.
	ErrCanceled Error = "canceled"

	// ErrFeatureMismatch means that the features of model and store do not match,
	// or that a row has not as many values as the store has features.
	ErrFeatureMismatch Error = "feature mismatch"

	// ErrModelFormat means model bytes of an unknown or unsupported format, or
	// damaged ones.
	ErrModelFormat Error = "bad model"

	// ErrData means orders, regulars, inventory or feature rows that cannot be used.
	ErrData Error = "bad data"

	// ErrInvalidConfig means options or routes that contradict each other or are
	// incomplete.
	ErrInvalidConfig Error = "invalid configuration"
)

// Error returns the name of the kind.
func (e Error) Error() string { return string(e) }
