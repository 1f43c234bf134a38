package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// signals are what is exported by OTLP.
type signals struct{ traces, metrics bool }

// readEnvironment returns what OpenTelemetry's variables ask for. The exporters read them
// too, but ignore what is wrong.
func readEnvironment() (signals, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return signals{}, nil
	}
	var s signals
	var err1, err2 error
	s.traces, err1 = exports("TRACES")
	s.metrics, err2 = exports("METRICS")
	return s, errors.Join(err1, err2)
}

// exports reports whether a signal is exported.
func exports(signal string) (bool, error) {
	exporterName := "OTEL_" + signal + "_EXPORTER"
	exporter := os.Getenv(exporterName)
	endpoint, endpointName := variable("ENDPOINT", signal)
	protocol, protocolName := variable("PROTOCOL", signal)
	switch {
	case exporter == "none" || exporter == "" && endpoint == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("%s %.64q: want otlp or none", exporterName, exporter)
	}
	var faults []error
	if protocol != "" && protocol != "http/protobuf" {
		faults = append(faults, fmt.Errorf("%s %.64q: want http/protobuf", protocolName, protocol))
	}
	if endpoint != "" {
		// The value is not repeated: a URL may have a password.
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			faults = append(faults, fmt.Errorf("%s: want a URL such as http://127.0.0.1:4318", endpointName))
		}
	}
	return len(faults) == 0, errors.Join(faults...)
}

// variable returns the value of the OTLP exporter's variable for a signal, or else that
// for all signals, and its name.
func variable(what, signal string) (value, name string) {
	name = "OTEL_EXPORTER_OTLP_" + signal + "_" + what
	if value = os.Getenv(name); value == "" {
		name = "OTEL_EXPORTER_OTLP_" + what
		value = os.Getenv(name)
	}
	return value, name
}
