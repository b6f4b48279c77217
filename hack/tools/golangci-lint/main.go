// Command golangci-lint is golangci-lint with the Kubernetes API linter linked
// in, as "golangci-lint custom" would make it. Versions are pinned by go.mod.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter"
)

func main() {
	err := commands.Execute(commands.BuildInfo{
		GoVersion: runtime.Version(),
		Version:   linterVersion(),
		Commit:    "unknown",
		Date:      "unknown",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "golangci-lint:", err)
		os.Exit(exitcodes.Failure)
	}
}

// linterVersion is golangci-lint's own version; the main module is ours and has none.
func linterVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/golangci/golangci-lint/v2" {
			return dep.Version[len("v"):]
		}
	}
	return "unknown"
}
