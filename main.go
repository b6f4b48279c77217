// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator. It runs the MQTTBridge controller, with one active
// replica at a time, and serves health probes, and metrics to authenticated clients.
// `manager check` reports whether an installed operator works.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/controllers"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// settings are the values of the flags.
type settings struct {
	runnerImage     string
	pullSecrets     []string // of runners
	class           string   // empty: bridges without a class
	maxUnavailable  intstr.IntOrString
	updateWindows   string   // empty: at any time
	updateTimeZone  string   // of updateWindows
	watchNamespaces []string // all if empty
	policy          controllers.Policy
	clusterID       string // the UID of kube-system if empty
	leaderElect     bool
	// leaderElectionNamespace is the namespace of the Lease. If it is empty, the Lease is
	// in the operator's own namespace.
	leaderElectionNamespace string

	// memoryLimit is the memory limit of the container in bytes, 0 if there is none.
	memoryLimit int64

	metricsAddress string
	bridgeMetrics  bool
	probeAddress   string
	version        bool
	zap            zap.Options
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "check" {
		if err := runCheck(context.Background(), ctrl.GetConfig, os.Args[2:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "failed:", err)
			os.Exit(1)
		}
		return
	}
	s := parseFlags()
	if s.version {
		fmt.Println(buildinfo.Line("manager"))
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&s.zap)))
	if err := run(s); err != nil {
		ctrl.Log.Error(err, "the operator has stopped")
		os.Exit(1)
	}
}

func parseFlags() *settings {
	s := &settings{maxUnavailable: controllers.DefaultMaxUnavailable}
	flag.StringVar(&s.runnerImage, "runner-image", "",
		"Image of the bridge-runner pods of all bridges that do not set spec.runner.image. Required.")
	flag.Func("runner-image-pull-secrets", "Comma-separated list of the Secrets for pulling the image of the bridge-runner pods of all bridges that do not set spec.runner.imagePullSecrets. They are Secrets in the namespaces of the bridges. Default: none.",
		func(value string) error {
			s.pullSecrets = list(value)
			return checkPullSecrets(s.pullSecrets)
		})
	flag.StringVar(&s.class, "class", "",
		"Class of the bridges that this operator reconciles, as in their spec.className. Default: the bridges without a class.")
	flag.Func("max-unavailable-bridges", "Largest number, or percentage, of the bridges whose pods the operator replaces at the same time when its own version or the default runner image changes. "+
		"It waits until each bridge is as healthy as before. At least 1. Default: "+controllers.DefaultMaxUnavailable.String()+".", func(value string) (err error) {
		s.maxUnavailable, err = controllers.ParseMaxUnavailable(value)
		return err
	})
	flag.StringVar(&s.updateWindows, "update-windows", "",
		"Semicolon-separated list of windows, each with the five fields of cron and a duration, such as \"0 2 * * 6 4h\". "+
			"When the operator's own version or the default runner image changes, the operator replaces the pods of bridges without spec.runner.updateWindows only while a window is open. Default: at any time.")
	flag.StringVar(&s.updateTimeZone, "update-time-zone", "",
		"Time zone of --update-windows, a name of the IANA time zone database such as Europe/Berlin. Default: UTC.")
	flag.Func("watch-namespaces", "Comma-separated list of namespaces to watch. Default: all namespaces.", func(value string) error {
		s.watchNamespaces = list(value)
		return nil
	})
	policyFlags(&s.policy)
	flag.StringVar(&s.clusterID, "cluster-id", "",
		"Identity of the cluster, from which default MQTT client identifiers are derived, so that they differ between clusters. A change starts new sessions. Default: the UID of the namespace kube-system.")
	flag.BoolVar(&s.leaderElect, "leader-elect", false,
		"Elect a leader, so that only one of several replicas is active at a time.")
	flag.StringVar(&s.leaderElectionNamespace, "leader-election-namespace", "",
		"Namespace of the Lease for leader election. Default: the operator's own namespace. Required if the operator runs outside a cluster.")
	flag.StringVar(&s.metricsAddress, "metrics-bind-address", ":8443",
		"Address that serves metrics over HTTPS, to clients whose RBAC rules permit them to get /metrics. 0 disables the metrics.")
	flag.BoolVar(&s.bridgeMetrics, "bridge-metrics", true,
		"Serve metrics of each bridge: 7 series for each, and about 600 bytes in each scrape.")
	flag.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081",
		"Address that serves the health probes /healthz and /readyz. 0 disables them.")
	flag.Int64Var(&s.memoryLimit, "memory-limit", 0,
		"Memory limit of the container in bytes. The operator frees memory earlier to stay below it. Default: no limit.")
	flag.BoolVar(&s.version, "version", false, "Print the version and exit.")
	s.zap.BindFlags(flag.CommandLine)
	flag.Parse()
	return s
}

// policyFlags defines the flags that limit the values of bridges. A list that is set and empty
// permits no value.
func policyFlags(p *controllers.Policy) {
	flag.Func("allowed-images", "Comma-separated list of the images that spec.runner.image may name: a repository, one image with its tag or digest, "+
		"or everything under a prefix that ends with a slash, such as ghcr.io/mqttbridge/. If it is empty, only the operator's choice is permitted. Default: every image.",
		func(value string) error {
			p.Images = list(value)
			return nil
		})
	flag.Func("allowed-priority-classes", "Comma-separated list of the priority classes that spec.runner.priorityClassName may name. If it is empty, none is permitted. Default: every class.",
		func(value string) error {
			p.PriorityClasses = list(value)
			return nil
		})
	flag.Func("allowed-service-accounts", "Comma-separated list of the ServiceAccounts that spec.runner.serviceAccountName may name. If it is empty, none is permitted. Default: every ServiceAccount of the bridge's namespace.",
		func(value string) error {
			p.ServiceAccounts = list(value)
			return nil
		})
	flag.Func("allowed-secrets", "Comma-separated list of patterns, such as mqtt-*, for the names of the Secrets that bridges may use. If it is empty, none is permitted. Default: every Secret of the bridge's namespace.",
		func(value string) error {
			p.Secrets = list(value)
			for _, pattern := range p.Secrets {
				if _, err := path.Match(pattern, ""); err != nil {
					return fmt.Errorf("the pattern %q: %w", pattern, err)
				}
			}
			return nil
		})
	flag.BoolFunc("allow-tolerations", "Permit spec.runner.tolerations. Default: true.", func(value string) error {
		allow, err := strconv.ParseBool(value)
		p.NoTolerations = !allow
		return err
	})
}

// checkPullSecrets returns an error if a Secret cannot have one of the names, or if a name is repeated: the
// API server would refuse each Deployment.
func checkPullSecrets(names []string) error {
	for i, name := range names {
		if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 {
			return fmt.Errorf("%q is not the name of a Secret: %s", name, strings.Join(errs, "; "))
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%q is in the list twice; remove one of the two", name)
		}
	}
	return nil
}

// list splits a comma-separated list. Spaces also separate. The result is not nil.
func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// leaseName returns the name of the Lease that the replicas of a class compete for. Operators
// of different classes are active at the same time, also in one namespace.
func leaseName(class string) string {
	if class == "" {
		return manifest.OperatorLease
	}
	return class + "." + manifest.OperatorLease
}

// run runs the operator until it receives a signal to stop or loses the leadership.
func run(s *settings) error {
	if s.runnerImage == "" {
		return errors.New("--runner-image is required; set it to the image of bridge-runner pods")
	}
	limitMemory(s.memoryLimit)
	if errs := validation.IsDNS1123Label(s.class); s.class != "" && len(errs) > 0 {
		return fmt.Errorf("--class is %q: %s", s.class, strings.Join(errs, "; "))
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	ctx := ctrl.SetupSignalHandler()
	mgr, err := newManager(ctx, config, s)
	if err != nil {
		return err
	}
	module, commit := buildinfo.Version()
	ctrl.Log.Info("the operator starts", "version", module, "revision", commit)
	return mgr.Start(ctx)
}

// leaseRetry is the interval at which the leader renews its Lease. A replica that waits tries to
// take the Lease after at most 2.2 times this interval.
const leaseRetry = time.Second

func newManager(ctx context.Context, config *rest.Config, s *settings) (ctrl.Manager, error) {
	windows, err := controllers.ParseUpdateWindows(s.updateWindows, v1alpha1.TimeZone(s.updateTimeZone))
	if err != nil {
		return nil, err
	}
	// When a server that many bridges use is lost, the status of each bridge must show
	// it within a second. The client's default limit of 20 requests per second would
	// delay the status writes. The API server limits clients itself, by priority and
	// fairness.
	config.QPS = -1

	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  controllers.CacheOptions(s.watchNamespaces),
		// The manager's own servers limit neither connections nor responses. addServers
		// adds servers that do.
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		LeaderElection:          s.leaderElect,
		LeaderElectionID:        leaseName(s.class),
		LeaderElectionNamespace: s.leaderElectionNamespace,
		RetryPeriod:             ptr.To(leaseRetry),
		// The process exits when the manager stops, so that the next leader need not
		// wait until the Lease expires.
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	bridges, gatherer := metricsOf(s)
	if err := addServers(mgr, s, gatherer); err != nil {
		return nil, err
	}
	cluster := s.clusterID
	if cluster == "" {
		if cluster, err = controllers.ClusterID(ctx, mgr.GetAPIReader()); err != nil {
			return nil, err
		}
	}
	reconciler := &controllers.Reconciler{
		Client:            mgr.GetClient(),
		APIReader:         mgr.GetAPIReader(),
		Recorder:          mgr.GetEventRecorder(controllers.FieldOwner),
		RunnerImage:       s.runnerImage,
		RunnerPullSecrets: s.pullSecrets,
		Class:             s.class,
		Policy:            s.policy,
		MaxUnavailable:    s.maxUnavailable,
		UpdateWindows:     windows,
		ClusterID:         cluster,
		Now:               time.Now,
		BridgeMetrics:     bridges,
	}
	if err := reconciler.SetupWithManager(mgr); err != nil { //nolint:contextcheck // adding indexes before the cache starts does not wait
		return nil, err
	}
	return mgr, nil
}
