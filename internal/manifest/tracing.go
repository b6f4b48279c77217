// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxSamplingRate is the largest sampling rate per million.
const maxSamplingRate = 1_000_000

var tracingEndpoint = regexp.MustCompile(`^https?://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[-A-Za-z0-9._~/]*)?$`)

func validateTracing(t *v1alpha1.Tracing, path *field.Path) field.ErrorList {
	if t == nil {
		return nil
	}
	errs := inRange(path.Child("samplingRatePerMillion"), t.SamplingRatePerMillion, 0, maxSamplingRate)
	if t.Endpoint != "" {
		errs = append(errs, validateURL(t.Endpoint, path.Child("endpoint"), checkTracingEndpoint, "")...)
	}
	if t.Topics != "" {
		errs = append(errs, oneOf(path.Child("topics"), t.Topics, v1alpha1.TraceTopicsOmit, v1alpha1.TraceTopicsRecord)...)
	}
	return errs
}

// checkTracingEndpoint returns an error if the URL is no endpoint for spans. Its first result has no meaning.
func checkTracingEndpoint(url string) (struct{}, error) {
	switch {
	case strings.Contains(url, "@"):
		return struct{}{}, errors.New("an endpoint must not contain a user name or password; send them in a header: set OTEL_EXPORTER_OTLP_HEADERS in runner.env from a Secret")
	case !tracingEndpoint.MatchString(url):
		return struct{}{}, errors.New("an endpoint must be http://host:port or https://host:port, with an optional path, such as http://collector.monitoring:4318; the port for OTLP over gRPC, 4317, does not work")
	}
	return struct{}{}, nil
}
