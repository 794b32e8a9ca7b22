<?php

return [
    'defaults' => ['guard' => 'wechat'],
    // The code of the page.
];
