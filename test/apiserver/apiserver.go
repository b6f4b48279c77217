// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver provides tests with a real API server, with etcd and the CRD of this project.
// No other part of a cluster runs: a test takes the role of the scheduler, the kubelet and the
// controllers.
//
// KUBEBUILDER_ASSETS names the directory of the programs; `make test` builds them and sets the
// variable. Without the variable, tests that need an API server fail with an error that names it.
package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// assetsVariable is the environment variable with the directory of kube-apiserver, etcd and
// kubectl.
const assetsVariable = "KUBEBUILDER_ASSETS"

// Timeout is the longest duration of each wait in a test. The API server, etcd and the operators of a test
// share the machine with other packages' tests: a roll-out of many bridges takes seconds on an idle machine,
// and many times longer on a busy one. No test that passes waits for it.
const Timeout = 2 * time.Minute

// Server is a running API server.
type Server struct {
	env *envtest.Environment
	// Admin is the configuration of a user with all permissions.
	Admin *rest.Config
	// Client is a client with the configuration Admin.
	Client client.WithWatch
}

// Root returns the project's directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Scheme returns a scheme with the types of Kubernetes and of this project.
func Scheme() *apiruntime.Scheme {
	scheme := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // A type is registered twice: a mistake in the program.
		}
	}
	return scheme
}

// Run starts an API server, passes it to use, runs the package's tests and stops the server. It
// returns the exit code for TestMain. Everything that use starts must end with its context. Without
// the programs, Run passes nil.
func Run(m *testing.M, use func(context.Context, *Server) error) int {
	server, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting an API server:", err)
		return 1
	}
	if server != nil {
		defer server.stop()
	}
	// Cancel before the server stops, because the server would wait for open watches.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := use(ctx, server); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the tests:", err)
		return 1
	}
	return m.Run()
}

func start() (*Server, error) {
	assets := os.Getenv(assetsVariable)
	if assets == "" {
		return nil, nil //nolint:nilnil // documented at Run: no programs, no server
	}
	s := &Server{env: &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		// Programs built from source start slower than released ones on a busy machine.
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  30 * time.Second,
	}}
	admin, err := s.env.Start()
	if err != nil {
		return nil, err
	}
	admin.QPS = -1
	s.Admin = admin
	s.Client, err = client.NewWithWatch(admin, client.Options{Scheme: Scheme()})
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) stop() {
	if err := s.env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the API server:", err)
	}
}

// Need fails the test if no server runs, because a skipped test proves nothing.
func Need(t *testing.T, s *Server) *Server {
	t.Helper()
	if s == nil {
		t.Fatal("the test needs an API server: run `make test`, or set " + assetsVariable + " as CONTRIBUTING.md describes")
	}
	return s
}

// AddUser returns the configuration of a client that authenticates as the named user, with a
// certificate signed by the server's authority.
func (s *Server) AddUser(name string) (*rest.Config, error) {
	user, err := s.env.AddUser(envtest.User{Name: name}, nil)
	if err != nil {
		return nil, fmt.Errorf("adding user %s: %w", name, err)
	}
	config := rest.CopyConfig(user.Config())
	config.QPS = -1
	return config, nil
}

// Tool returns the path of a program beside the API server's, such as kubectl.
func (s *Server) Tool(name string) string {
	return filepath.Join(s.env.BinaryAssetsDirectory, name)
}

// Kubeconfig returns a kubeconfig of a user with all permissions.
func (s *Server) Kubeconfig() []byte { return s.env.KubeConfig }

// Await watches the object with the key, of the list's kind, until wanted returns true for it, and
// returns the object. wanted receives nil if the object does not exist.
func Await[T client.Object](
	t *testing.T, c client.WithWatch, list client.ObjectList, key client.ObjectKey, what string, wanted func(T) bool,
) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	selected := []client.ListOption{client.InNamespace(key.Namespace), client.MatchingFields{"metadata.name": key.Name}}
	if err := c.List(ctx, list, selected...); err != nil {
		t.Fatalf("%s: listing: %v", what, err)
	}
	var none, last T
	if err := meta.EachListItem(list, func(item apiruntime.Object) error {
		last, _ = item.(T)
		return nil
	}); err != nil {
		t.Fatalf("%s: listing: %v", what, err)
	}
	if wanted(last) {
		return last
	}
	since := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
	w, err := c.Watch(ctx, list, append(selected, since)...)
	if err != nil {
		t.Fatalf("%s: watching: %v", what, err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		switch event.Type {
		case watch.Added, watch.Modified:
			last, _ = event.Object.(T)
		case watch.Deleted:
			last = none
		case watch.Bookmark:
			continue
		case watch.Error:
			t.Fatalf("%s: watching: %v", what, apierrors.FromObject(event.Object))
		}
		if wanted(last) {
			return last
		}
	}
	t.Fatalf("%s: not within %s; last seen:\n%s", what, Timeout, dump(last))
	return none
}

func dump(obj any) string {
	out, err := yaml.Marshal(obj)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// Eventually polls a condition that cannot be watched, until it is true.
func Eventually(t *testing.T, what string, check func(context.Context) (bool, error)) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, Timeout, true, check)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
