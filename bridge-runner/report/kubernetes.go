// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// FieldManager owns what the runner reports.
	FieldManager = "bridge-runner"
	// reportInterval is the time between two reports while much changes; what changes
	// within it is reported together. After a quiet time the first reportBurst go out
	// at once: the loss of a server and the connection to the next make two.
	reportInterval = time.Second
	reportBurst    = 2
	// reportTimeout bounds a request.
	reportTimeout = 10 * time.Second
	// retryMax is the longest pause between attempts at an API server that does not
	// answer, or refuses.
	retryMax = 30 * time.Second
)

// Kubernetes reports the state of a runner to the status of its MQTTBridge by
// server-side apply: the sides, and the condition Ready that follows from them, so
// that the two never contradict each other.
type Kubernetes struct {
	client *http.Client
	url    string
	name   string
	ns     string
	log    *slog.Logger
}

// NewKubernetes returns a reporter for a bridge, in the cluster that the process
// runs in.
func NewKubernetes(bridge *v1alpha1.MQTTBridge, log *slog.Logger) (*Kubernetes, error) {
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("--kubernetes works in a pod of a cluster only: %w", err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	path, err := url.JoinPath(cfg.Host, "apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version,
		"namespaces", bridge.Namespace, "mqttbridges", bridge.Name, "status")
	if err != nil {
		return nil, fmt.Errorf("the API server's address: %w", err)
	}
	return &Kubernetes{
		client: client,
		url:    path + "?fieldManager=" + FieldManager + "&force=true",
		name:   bridge.Name,
		ns:     bridge.Namespace,
		log:    log,
	}, nil
}

// Run reports each change until the context ends.
func (k *Kubernetes) Run(ctx context.Context, st *State) {
	limit := rate.NewLimiter(rate.Every(reportInterval), reportBurst)
	pause := reportInterval
	for {
		select {
		case <-st.Changed():
		case <-ctx.Done():
			return
		}
		if limit.Wait(ctx) != nil {
			return // the context has ended
		}
		err := k.report(ctx, st.Status())
		switch {
		case err == nil:
			pause = reportInterval
		case ctx.Err() != nil:
			return
		default:
			k.log.Warn("the bridge's status could not be reported; it goes on all the same", "error", err)
			st.notify() // it is still to be reported
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, retryMax)
		}
	}
}

// report applies the status.
func (k *Kubernetes) report(ctx context.Context, status v1alpha1.MQTTBridgeStatus) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "MQTTBridge",
		"metadata":   map[string]string{"name": k.name, "namespace": k.ns},
		"status":     status,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, k.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/apply-patch+yaml")
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("reporting the status: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("the API server answers %s: %s", resp.Status, text)
	}
	_, err = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return err
}
