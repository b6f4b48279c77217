// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

const (
	// checkRetry is the interval between attempts of a check that has failed.
	checkRetry = time.Second
	// attemptTimeout limits one attempt of a check.
	attemptTimeout = 10 * time.Second
)

// checkFlags are the flags of `manager check`, the test of the Helm chart.
type checkFlags struct {
	lease      string // NAMESPACE/NAME; empty without leader election
	metricsURL string // empty if the operator serves no metrics
	timeout    time.Duration
}

// runCheck runs `manager check`. It reports whether the API server serves bridges, whether an
// operator is active, and whether an operator answers clients of its metrics. Each check is repeated
// until it passes or the time is over, because the operator may have been installed a moment ago.
func runCheck(ctx context.Context, config func() (*rest.Config, error), args []string, out io.Writer) error {
	var c checkFlags
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&c.lease, "lease", "", "Lease for leader election, as NAMESPACE/NAME. Default: it is not checked.")
	flags.StringVar(&c.metricsURL, "metrics-url", "", "URL of the operator's metrics. Default: they are not checked.")
	flags.DurationVar(&c.timeout, "timeout", time.Minute, "Time after which a check that does not pass has failed.")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("the argument %q is unknown; check has only flags: see check -h", flags.Arg(0))
	}
	namespace, name, found := strings.Cut(c.lease, "/")
	if c.lease != "" && (!found || namespace == "" || name == "") {
		return fmt.Errorf("--lease is %q; set it to NAMESPACE/NAME, such as mqttbridge-system/%s", c.lease, manifest.OperatorLease)
	}
	cfg, err := config()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	deadline := time.Now().Add(c.timeout)
	run := []func(context.Context) (string, error){
		func(context.Context) (string, error) { return checkAPI(cfg) },
	}
	if c.lease != "" {
		run = append(run, func(ctx context.Context) (string, error) {
			return checkLease(ctx, cfg, client.ObjectKey{Namespace: namespace, Name: name})
		})
	}
	if c.metricsURL != "" {
		run = append(run, func(ctx context.Context) (string, error) { return checkMetrics(ctx, c.metricsURL) })
	}
	for _, check := range run {
		result, err := repeat(ctx, deadline, check)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, "passed:", result); err != nil {
			return err
		}
	}
	return nil
}

// repeat repeats a check until it passes or the deadline is over, and returns the last error then.
// The deadline does not interrupt an attempt, so that the error has the cause.
func repeat(ctx context.Context, deadline time.Time, check func(context.Context) (string, error)) (string, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		result, err := check(attempt)
		cancel()
		if err == nil || time.Now().After(deadline) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(checkRetry):
		}
	}
}

// checkAPI reports whether the API server serves bridges.
func checkAPI(config *rest.Config) (string, error) {
	api, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", err
	}
	const remedy = "install the CRD: set crds.install in the chart to true, or run make install"
	version := v1alpha1.GroupVersion.String()
	resources, err := api.ServerResourcesForGroupVersion(version)
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("the API server does not serve %s; %s", version, remedy)
	case err != nil:
		return "", fmt.Errorf("asking the API server for %s: %w", version, err)
	case !slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == "mqttbridges" }):
		return "", fmt.Errorf("the API server has no mqttbridges in %s; %s", version, remedy)
	}
	return "the API server serves mqttbridges of " + version, nil
}

// checkLease reports whether an operator is active: it holds the Lease, and renews it.
func checkLease(ctx context.Context, config *rest.Config, key client.ObjectKey) (string, error) {
	api, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		return "", err
	}
	remedy := fmt.Sprintf("see kubectl get pods --namespace=%s, and the logs of the operator's pods", key.Namespace)
	lease := &coordinationv1.Lease{}
	if err := api.Get(ctx, key, lease); apierrors.IsNotFound(err) {
		return "", fmt.Errorf("the Lease %s does not exist, so that no operator has been active yet; %s", key, remedy)
	} else if err != nil {
		return "", fmt.Errorf("reading the Lease %s: %w", key, err)
	}
	holder, renewed := ptr.Deref(lease.Spec.HolderIdentity, ""), ptr.Deref(lease.Spec.RenewTime, metav1.MicroTime{})
	if holder == "" {
		return "", fmt.Errorf("no operator holds the Lease %s; %s", key, remedy)
	}
	expires := renewed.Add(time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second)
	if time.Now().After(expires) {
		return "", fmt.Errorf("%s holds the Lease %s, but has not renewed it since %s; %s", holder, key, renewed.UTC().Format(time.RFC3339), remedy)
	}
	return fmt.Sprintf("%s is active: it holds the Lease %s", holder, key), nil
}

// checkMetrics reports whether the operator answers a client without credentials, which it refuses.
// The check does not send its token, because it cannot verify who receives it: the operator signs
// its certificate itself.
func checkMetrics(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("--metrics-url is %q: %w", url, err)
	}
	insecure := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // no secret is sent
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: insecure}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", fmt.Errorf("no operator answers at %s; check that its pods are ready, and that no NetworkPolicy refuses the connection: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusUnauthorized {
		return "", fmt.Errorf("%s answers %s to a client without credentials; want %d %s: another program answers, or the operator permits everyone to read its metrics",
			url, resp.Status, http.StatusUnauthorized, http.StatusText(http.StatusUnauthorized))
	}
	return "the operator answers at " + url + ", and refuses a client without credentials", nil
}
