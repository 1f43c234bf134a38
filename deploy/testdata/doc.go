// Package deploy tests the files of the folder deploy by Prometheus's own library, which
// is heavy, so that it is a module of its own. Nothing imports it. Run them with -count=1:
// Go does not know that they read files of other modules.
package deploy
