'use strict';

// Everything is relative to the page, which a proxy may have under a prefix. No validator
// is asked, and keys are kept in memory only.
window.ui = SwaggerUIBundle({
  url: new URL('openapi.json', location.href).href,
  dom_id: '#ui',
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  validatorUrl: null,
  persistAuthorization: false,
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: -1,
});
