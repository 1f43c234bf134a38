// Package browser tests package dash in a real browser, Chromium, by way of chromedp, which
// is heavy, so that it is a module of its own. Nothing imports it.
//
// Each page is opened in light and dark, at 1280 and 360 pixels, and axe-core, from its npm
// package, looks for what keeps people from using it. A program that is missing (chromium,
// nginx, npm) makes its tests skip, unless BASKET_SERVERS is set. Pictures of the pages are
// kept in the folder that BASKET_SCREENSHOTS names.
package browser
