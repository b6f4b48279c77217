// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const (
	testRunnerImage = "registry.example/mqttbridge-operator:v1"
	operatorUser    = "system:serviceaccount:mqttbridge-system:mqttbridge-operator"
)

// testDefaults are the settings of the pods of an operator that sets only the image.
var testDefaults = podDefaults{image: testRunnerImage}

// All tests of this package share the API server, which is nil if none can run, and the
// operator, which has only the rights of config/rbac/role.yaml.
var (
	server     *apiserver.Server
	operator   *Reconciler
	operatorIO = &recordingTransport{}
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, func(ctx context.Context, s *apiserver.Server) error {
		if server = s; server == nil {
			return nil
		}
		return startOperator(ctx)
	}))
}

// startOperator runs the controller as a separate user with the generated rights.
func startOperator(ctx context.Context) error {
	role, err := generatedRole()
	if err != nil {
		return err
	}
	if err := server.Client.Create(ctx, role); err != nil {
		return err
	}
	if err := server.Client.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}); err != nil {
		return err
	}
	ctrl.SetLogger(klog.Background())
	config, err := server.AddUser(operatorUser)
	if err != nil {
		return err
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		operatorIO.next = next
		return operatorIO
	})
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  apiserver.Scheme(),
		Cache:   CacheOptions(nil),
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	cluster, err := ClusterID(ctx, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	operator = &Reconciler{
		Client:      mgr.GetClient(),
		APIReader:   mgr.GetAPIReader(),
		Recorder:    mgr.GetEventRecorder(FieldOwner),
		RunnerImage: testRunnerImage,
		ClusterID:   cluster,
		Now:         time.Now,

		BridgeMetrics: NewBridgeMetrics(),
	}
	if err := operator.SetupWithManager(mgr); err != nil { //nolint:contextcheck // adding indexes before the cache starts does not wait
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return fmt.Errorf("the cache does not fill: %w", <-stopped)
	}
	return nil
}

// generatedRole returns the operator's ClusterRole as it is installed.
func generatedRole() (*rbacv1.ClusterRole, error) {
	raw, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "rbac", "role.yaml"))
	if err != nil {
		return nil, err
	}
	role := &rbacv1.ClusterRole{}
	return role, yaml.UnmarshalStrict(raw, role)
}

// recordingTransport records the requests that the operator makes.
type recordingTransport struct {
	next http.RoundTripper

	mu       sync.Mutex // guards requests
	requests []string   // as "METHOD path", in order
}

func (r *recordingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

// matching returns the requests so far whose method is one of methods and whose path
// contains part.
func (r *recordingTransport) matching(part string, methods ...string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, request := range r.requests {
		method, path, _ := strings.Cut(request, " ")
		for _, m := range methods {
			if m == method && strings.Contains(path, part) {
				out = append(out, request)
			}
		}
	}
	return out
}

// writesIn returns the writes to the namespace so far, without events.
func (r *recordingTransport) writesIn(namespace string) []string {
	var out []string
	for _, request := range r.matching("/namespaces/"+namespace+"/", http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete) {
		if !strings.HasSuffix(request, "/events") {
			out = append(out, request)
		}
	}
	return out
}

// asRunner returns a client configuration that impersonates the runner of the bridge.
func asRunner(namespace, bridge string) *rest.Config {
	config := rest.CopyConfig(server.Admin)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: fmt.Sprintf("system:serviceaccount:%s:%s", namespace, childName(bridge)),
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return config
}
