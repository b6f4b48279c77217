// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/textproto"
	neturl "net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

const (
	// defaultEndpoint is the receiver if neither the manifest nor the environment names one.
	defaultEndpoint = "http://localhost:4318"
	// tracesPath is the path of traces below an endpoint.
	tracesPath = "/v1/traces"
	// defaultTimeout bounds a request.
	defaultTimeout = 10 * time.Second
	// idleTimeout is how long an idle connection to a receiver is kept.
	idleTimeout = 90 * time.Second
)

// variable returns the name and the value of an environment variable of OTLP exporters: the variable
// for traces, or the variable for all signals if that is empty.
func variable(name string) (full, value string) {
	for _, full = range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = strings.TrimSpace(os.Getenv(full)); value != "" {
			return full, value
		}
	}
	return full, ""
}

// newClient returns a client for an endpoint of a manifest. The environment configures the rest, and
// names the receiver if endpoint is empty:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
func newClient(endpoint string) (*client, error) {
	url, err := receiverURL(endpoint)
	if err != nil {
		return nil, err
	}
	headers, err := readHeaders()
	if err != nil {
		return nil, err
	}
	timeout, err := readTimeout()
	if err != nil {
		return nil, err
	}
	c := &client{url: url, headers: headers, timeout: timeout, secrets: secretsOf(url, headers)}
	switch name, value := variable("COMPRESSION"); value {
	case "gzip":
		c.gzip = true
	case "", "none":
	default:
		return nil, fmt.Errorf("%s: %q is not supported; set it to gzip or none", name, value)
	}
	if name, value := variable("PROTOCOL"); value != "" && value != "http/protobuf" {
		return nil, fmt.Errorf("%s: %q is not supported; set it to http/protobuf, and the endpoint to a receiver of OTLP over HTTP", name, value)
	}
	return c, nil
}

// noRedirect makes the client return a redirect as the answer: most redirects turn a POST into a GET,
// which loses the spans, and another host must not get the headers.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// receiverURL returns the URL to which spans are sent.
func receiverURL(endpoint string) (string, error) {
	if endpoint != "" {
		return strings.TrimSuffix(endpoint, "/") + tracesPath, nil
	}
	name, value := variable("ENDPOINT")
	u, err := neturl.Parse(cmp.Or(value, defaultEndpoint))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%s: %q is not the URL of a receiver of OTLP over HTTP; set it to a URL such as %s", name, v1alpha1.PublicURL(value), defaultEndpoint)
	}
	if value != "" && strings.HasSuffix(name, "_TRACES_ENDPOINT") { // used as it is
		u.Path = cmp.Or(u.Path, "/")
		return u.String(), nil
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + tracesPath
	return u.String(), nil
}

// secretsOf returns a request with the secrets of an endpoint and of headers, to mask them.
func secretsOf(endpoint string, headers http.Header) transport.Config {
	out := transport.Config{Header: headers.Clone()}
	u, err := neturl.Parse(endpoint)
	if err != nil { // the first request fails with this error
		return out
	}
	out.Path = u.RequestURI()
	if password, ok := u.User.Password(); ok {
		out.Header.Add("Authorization", password)
	}
	return out
}

// readHeaders reads headers in the form name=value,name=value with percent-encoded values.
func readHeaders() (http.Header, error) {
	name, value := variable("HEADERS")
	out := http.Header{}
	for i, pair := range strings.Split(value, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		header, text, ok := strings.Cut(pair, "=")
		text, err := neturl.PathUnescape(strings.TrimSpace(text))
		header = strings.TrimSpace(header)
		if !ok || err != nil || !httpguts.ValidHeaderFieldName(header) || !httpguts.ValidHeaderFieldValue(text) { // the value may be a secret
			return nil, fmt.Errorf("%s: entry %d is not in the form name=value, with the name of an HTTP header and a percent-encoded value", name, i+1)
		}
		out[textproto.CanonicalMIMEHeaderKey(header)] = []string{text}
	}
	return out, nil
}

// readTimeout reads a timeout in milliseconds.
func readTimeout() (time.Duration, error) {
	name, value := variable("TIMEOUT")
	if value == "" {
		return defaultTimeout, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s: %q is not a number of milliseconds; set it to a number such as 10000", name, value)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// security is the content of the files with certificates. A part is nil if the environment names no file.
type security struct {
	cas *x509.CertPool
	own []tls.Certificate
}

// readSecurity reads the CA certificates, and the client certificate with its key.
func readSecurity() (s security, err error) {
	for _, of := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		if name, path := variable(of); strings.Contains(path, "-----BEGIN ") { // the error of the system would quote the key
			return security{}, fmt.Errorf("%s holds PEM; write it into a file, and set the variable to the path of the file", name)
		}
	}
	if name, path := variable("CERTIFICATE"); path != "" {
		if s.cas, err = config.ReadCAs(path); err != nil {
			return security{}, fmt.Errorf("%s: %w; set it to a file with CA certificates", name, err)
		}
	}
	certName, cert := variable("CLIENT_CERTIFICATE")
	keyName, key := variable("CLIENT_KEY")
	if cert == "" && key == "" {
		return s, nil
	}
	if cert == "" || key == "" {
		return security{}, fmt.Errorf("only one of %s and %s is set; set both to files that belong together", certName, keyName)
	}
	pair, err := config.ReadKeyPair(cert, key)
	if err != nil {
		return security{}, fmt.Errorf("%s and %s: %w", certName, keyName, err)
	}
	s.own = []tls.Certificate{pair}
	return s, nil
}

// equal reports whether two contents have the same certificates.
func (s security) equal(other security) bool {
	return s.cas.Equal(other.cas) && slices.EqualFunc(s.own, other.own, func(a, b tls.Certificate) bool {
		return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
	})
}

// connector returns a client of HTTP that uses the certificates.
func (s security) connector(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, CheckRedirect: noRedirect, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.cas, Certificates: s.own},
	}}
}
