// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// tokenFile is the file with the credentials by which a pod identifies itself to the API
// server.
const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path, not a secret

// Runner identifies this process and its pod. The environment variables POD_NAME and
// NODE_NAME name the pod and its node; they are empty outside a cluster.
func Runner() v1alpha1.RunnerStatus {
	module, commit := buildinfo.Version()
	runner := v1alpha1.RunnerStatus{
		Pod:     os.Getenv("POD_NAME"),
		Node:    os.Getenv("NODE_NAME"),
		Version: module + ", revision " + commit,
	}
	if issued, err := issuedAt(tokenFile); err == nil { // a pod without a token has no order and no reports
		runner.PodTime = metav1.NewTime(issued)
	}
	return runner
}

// issuedAt returns when the API server issued the token in a file (RFC 7519 section 4.1.6).
// The kubelet requests the token before the pod starts, and the time is of the API server's
// clock. A later pod therefore has a later time, even if the clock of its node is wrong.
func issuedAt(file string) (time.Time, error) {
	token, err := os.ReadFile(file) //nolint:gosec // a constant, or a file of a test
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the token: %w", err)
	}
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 { // header, claims, signature
		return time.Time{}, errors.New("the token is not a JSON Web Token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, errors.New("the claims of the token are not valid base64") // err contains a part of the token
	}
	var claims struct {
		IssuedAt int64 `json:"iat"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.IssuedAt == 0 {
		return time.Time{}, errors.New("the token has no time of issue")
	}
	return time.Unix(claims.IssuedAt, 0), nil
}
