// htmx (vendored) swaps parts of a page: without styles or code of its own in the page, and from nowhere but here.

Object.assign(htmx.config, { includeIndicatorStyles: false, allowEval: false, selfRequestsOnly: true });
