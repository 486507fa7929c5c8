// Command argocd is the components of Argo CD that the tests need in one binary, chosen by the name it was started under.
// The project's own binary also holds the web interface, the command line and the notifications, which take longer to build.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	application "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	applicationset "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	repository "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

var components = map[string]func() *cobra.Command{
	"argocd-application-controller":    application.NewCommand,
	"argocd-applicationset-controller": applicationset.NewCommand,
	"argocd-repo-server":               repository.NewCommand,
}

func main() {
	component := components[filepath.Base(os.Args[0])]
	if component == nil {
		fmt.Fprintln(os.Stderr, "usage: start it under the name of a component")
		os.Exit(2)
	}
	if component().Execute() != nil {
		os.Exit(1)
	}
}
